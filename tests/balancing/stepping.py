"""Steps of a balancer on losses that are plain numbers, without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from motet.balancing.base import Balancer, Facts
from motet.balancing.losses.weighting import LossBalance, LossBalancer

TASKS = ("a", "b", "c", "d")
DIRECTIONS = {
    "a": torch.tensor([1.0, 0.0, 2.0]),
    "b": torch.tensor([0.0, -1.0, 1.0]),
    "c": torch.tensor([3.0, 1.0, 0.0]),
    "d": torch.tensor([0.0, 0.0, 1.0]),
}


def build(recipe: LossBalance, tasks: str = "".join(TASKS)) -> LossBalancer:
    """A balancer for tasks of one letter each, of which nothing is known."""
    balancer = recipe.build({task: Facts() for task in tasks})
    assert isinstance(balancer, LossBalancer)
    return balancer


def backward(balancer: Balancer, losses: Mapping[str, float], held: Mapping[str, float] | None = None) -> Tensor:
    """The gradient that a step leaves in parameters, along which each loss rises in a direction of its own."""
    p = torch.zeros(3, requires_grad=True)
    learning, kept = (
        {task: torch.tensor(float(loss)) + DIRECTIONS[task] @ p for task, loss in some.items()}
        for some in (losses, held or {})
    )
    balancer.backward(learning, kept)
    return torch.zeros(3) if p.grad is None else p.grad


def weights(balancer: Balancer) -> dict[str, float]:
    """What the tasks of the last step weighed."""
    return {task: float(weight) for task, weight in balancer.weights.items()}


def step(balancer: Balancer, losses: Mapping[str, float]) -> dict[str, float]:
    """Take a step; what its tasks weighed."""
    backward(balancer, losses)
    return weights(balancer)


def values(**losses: float) -> dict[str, Tensor]:
    """Losses as a second look finds them."""
    return {task: torch.tensor(float(loss)) for task, loss in losses.items()}


def slopes(formula: Callable[[Tensor], Tensor], losses: Tensor) -> Tensor:
    """How a formula rises in each of its losses."""
    leaves = losses.clone().requires_grad_()
    (found,) = torch.autograd.grad(formula(leaves), leaves)
    return found
