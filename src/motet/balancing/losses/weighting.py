"""From a formula of task losses to weights and gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from motet.balancing.base import Balance, Balancer, Facts

__all__ = ["FLOOR", "LossBalance", "LossBalancer", "WeightedSum", "stacked"]

FLOOR = 1e-8
"""A loss, or a mean of losses, counts as at least so much where a rule divides by it or takes its logarithm."""


class LossBalance(Balance):
    """The recipe of a balance that weighs losses.

    Relations:
        It costs one backward pass. Balances of gradients cost one for every task, at worst.
    """

    @abstractmethod
    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        """A balancer for these tasks: all of the experiment, also those that join later."""


class LossBalancer(Balancer, ABC):
    """A balance that is one formula of the losses.

    The weight of a task is the slope of the formula in its loss. Losses are added up over all processes first, so
    that every process finds the same weights. Held tasks are added with weight 1 and are not seen by the formula.

    Args:
        tasks: the names of all tasks of the experiment; numbers are kept for each, in the order of the alphabet.
    """

    origin: Tensor

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__()
        self.tasks = tuple(sorted(tasks))
        self.register_buffer("origin", torch.zeros(()), persistent=False)  # knows the device

    @abstractmethod
    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The formula.

        Args:
            losses: of the tasks that learn in this step, at least one, in the order of the alphabet.
        """

    def prepare(self, losses: Mapping[str, Tensor]) -> None:
        """Change own numbers before the formula is asked; given the values of its losses."""

    def learn(self, losses: Mapping[str, Tensor]) -> None:
        """Change own numbers after the formula was asked; given the values of its losses."""

    def backward(self, losses: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        values = self._values(losses)
        self.weights = self._weigh(values) if values else {}
        terms = [self.weights[task] * loss for task, loss in losses.items()] + list(held.values())
        if terms:  # none if all rows of the step went to other processes
            torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]

    def rows(self, tasks: Iterable[str]) -> Tensor:
        """Where the numbers of tasks are kept."""
        return torch.tensor([self.tasks.index(task) for task in tasks])

    def _weigh(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad():
            self.prepare(values)
        leaves = {task: value.detach().requires_grad_() for task, value in values.items()}
        slopes = torch.autograd.grad(self.objective(leaves), list(leaves.values()), materialize_grads=True)
        with torch.no_grad():
            self.learn(values)
        return dict(zip(values, slopes, strict=True))

    def _values(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The losses over all processes, in the order of the alphabet."""
        if self.processes == 1:
            return {task: losses[task].detach().float() for task in self.tasks if task in losses}
        table = self.origin.new_zeros(len(self.tasks), 2)
        for task, loss in losses.items():
            table[self.tasks.index(task)] = torch.stack([loss.detach().float(), self.origin + 1])
        values, holders = self.total(table).unbind(dim=1)
        # Rows of a task may all lie with other processes, and the formula is the same everywhere.
        return {task: value for task, value, count in zip(self.tasks, values, holders.tolist(), strict=True) if count}


class WeightedSum(LossBalancer):
    """A formula that is a sum of losses, each times a number that does not depend on the losses of this step."""

    @abstractmethod
    def weigh(self, rows: Tensor) -> Tensor:
        """The weights of the tasks of a step.

        Args:
            rows: where the numbers of these tasks are kept.
        """

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        return (self.weigh(self.rows(losses)) * stacked(losses)).sum()


def stacked(losses: Mapping[str, Tensor]) -> Tensor:
    """The losses as one vector."""
    return torch.stack(list(losses.values()))
