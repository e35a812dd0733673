"""Task gradients against a plain loop in double precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from motet.balancing.base import Balancer, Facts
from motet.balancing.engine import GradientBalancer, gramian
from motet.balancing.gradients.base import Weighting
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.pcgrad import PCGrad

TASKS = ("a", "b", "c")


class Ones(Weighting):
    """The sum."""

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        return torch.ones(len(names), dtype=torch.float64)


class Toy(nn.Module):
    """Two shared layers and a head for each task."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(5, 7), nn.Linear(7, 6)
        self.heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in TASKS})

    @property
    def shared(self) -> list[nn.Parameter]:
        return [*self.first.parameters(), *self.last.parameters()]

    def losses(self, tasks: Sequence[str] = TASKS, seed: int = 1) -> dict[str, Tensor]:
        random = torch.Generator().manual_seed(seed)
        rows = {task: torch.randn(4, 5, generator=random) for task in TASKS}
        states = {task: self.last(torch.tanh(self.first(rows[task]))) for task in tasks}
        return {task: self.heads[task](states[task]).square().mean() for task in tasks}

    def take(self) -> dict[str, Tensor]:
        found = {name: p.grad.clone() for name, p in self.named_parameters() if p.grad is not None}
        self.zero_grad()
        return found


def attached(balancer: Balancer, toy: Toy) -> Balancer:
    balancer.attach(toy.shared, list(toy.last.parameters()))
    return balancer


def gradients(
    balancer: Balancer, toy: Toy, batches: Sequence[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]
) -> dict[str, Tensor]:
    for losses, held in batches:
        balancer.backward(losses, held)
    balancer.finish()
    return toy.take()


def rows_of(toy: Toy, losses: Mapping[str, Tensor]) -> Tensor:
    found = []
    for loss in losses.values():
        parts = torch.autograd.grad(loss, toy.shared, retain_graph=True)
        found.append(torch.cat([part.reshape(-1) for part in parts]))
    return torch.stack(found).double()


@pytest.mark.parametrize("where", ["shared", "last_layer"])
@pytest.mark.parametrize("held", ["", "c", "abc"])
def test_weights_of_one_are_the_sum(where: str, held: str) -> None:
    toy = Toy()
    losses = toy.losses()
    sum(losses.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    expected = toy.take()
    losses = toy.losses()
    balancer = attached(GradientBalancer(Ones(TASKS), where), toy)
    learning = {task: loss for task, loss in losses.items() if task not in held}
    found = gradients(balancer, toy, [(learning, {task: losses[task] for task in held})])
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)


@pytest.mark.parametrize("part", [PCGrad(seed=3), MGDA()])
def test_a_rule_weighs_shared_parameters_and_leaves_heads_alone(part: PCGrad | MGDA) -> None:
    toy = Toy()
    losses = toy.losses()
    rows = rows_of(toy, losses)
    weights = part.weighting(TASKS)(rows @ rows.T, TASKS)
    sum(losses.values(), torch.zeros(())).backward(retain_graph=True)  # type: ignore[no-untyped-call]
    plain = toy.take()
    found = gradients(attached(part.build(dict.fromkeys(TASKS, Facts())), toy), toy, [(toy.losses(), {})])
    flat = torch.cat([found[name].reshape(-1) for name, p in toy.named_parameters() if not name.startswith("heads")])
    torch.testing.assert_close(flat.double(), weights @ rows, atol=1e-5, rtol=1e-4)
    for name in (name for name in plain if name.startswith("heads")):
        torch.testing.assert_close(found[name], plain[name])


def test_batches_of_a_step_are_one_gradient_a_task() -> None:
    toy = Toy()
    one, two = toy.losses(seed=1), toy.losses(("a", "c"), seed=2)
    rows = rows_of(toy, one)
    more = rows_of(toy, two)
    rows[0] += more[0]
    rows[2] += more[1]
    weights = MGDA().weighting(TASKS)(rows @ rows.T, TASKS)
    balancer = attached(MGDA().build(dict.fromkeys(TASKS, Facts())), toy)
    found = gradients(balancer, toy, [(toy.losses(seed=1), {}), (toy.losses(("a", "c"), seed=2), {})])
    flat = torch.cat([found[name].reshape(-1) for name, _ in toy.named_parameters() if not name.startswith("heads")])
    torch.testing.assert_close(flat.double(), weights @ rows, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        torch.stack([balancer.weights[task] for task in TASKS]).double(), weights, atol=1e-5, rtol=1e-4
    )


def test_in_between_the_weights_are_the_last_ones() -> None:
    toy = Toy()
    balancer = attached(GradientBalancer(MGDA().weighting(TASKS), every=2), toy)
    gradients(balancer, toy, [(toy.losses(), {})])
    weights = {task: float(weight) for task, weight in balancer.weights.items()}
    losses = toy.losses(seed=5)
    sum((weights[task] * loss for task, loss in losses.items()), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    expected = toy.take()
    found = gradients(balancer, toy, [(toy.losses(seed=5), {})])
    for name in ("first.weight", "last.bias"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-6, rtol=1e-4)


def test_a_gramian_of_millions_of_columns_is_exact_enough() -> None:
    rows = [torch.randn(3_000_000, generator=torch.Generator().manual_seed(seed)) + 0.1 for seed in range(3)]
    exact = torch.stack(rows).double()
    torch.testing.assert_close(gramian(rows), exact @ exact.T, atol=0, rtol=2e-6)


def test_a_process_without_rows_of_a_task_takes_part() -> None:
    toy = Toy()
    balancer = attached(GradientBalancer(Ones(TASKS)), toy)
    balancer.processes, balancer.total = 2, lambda tensor: tensor  # the other process has nothing at all
    losses = toy.losses(("a", "b"))
    found = gradients(balancer, toy, [(losses, {})])
    assert set(balancer.weights) == {"a", "b"}
    assert "first.weight" in found
