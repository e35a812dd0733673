from __future__ import annotations

import torch
from hypothesis import given
from tests.balancing.gradients.jacobians import friendly, jacobians, names
from torch import Tensor
from torchjd.aggregation import PCGrad as Oracle

from motet.balancing.gradients.orders import Orders
from motet.balancing.gradients.pcgrad import PCGrad


def update(rows: Tensor, seed: int = 0) -> Tensor:
    tasks = names(len(rows))
    return PCGrad(seed=seed).weighting(tasks)(rows @ rows.T, tasks) @ rows


def by_the_book(rows: Tensor, orders: Tensor) -> Tensor:
    """The algorithm on vectors, word for word."""
    projected = []
    for gradient, others in zip(rows, orders.tolist(), strict=True):
        for other in rows[others]:
            if gradient @ other < 0:
                gradient = gradient - (gradient @ other) / (other @ other) * other
        projected.append(gradient)
    return torch.stack(projected).sum(dim=0)


@given(friendly())
def test_it_is_the_algorithm_on_vectors(rows: Tensor) -> None:
    expected = by_the_book(rows, Orders(len(rows), seed=7)(torch.arange(len(rows))))
    torch.testing.assert_close(update(rows, seed=7), expected)


@given(jacobians(("random", "conflicting", "one zero", "two equal")))
def test_two_tasks_have_but_one_order(rows: Tensor) -> None:
    rows = rows[:2]
    torch.testing.assert_close(update(rows), Oracle()(rows), rtol=1e-6, atol=0)


def test_a_small_case_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(update(rows), torch.tensor([0.5, 1.5], dtype=torch.float64))


@given(jacobians(("agreeing",)))
def test_without_conflict_it_is_the_sum(rows: Tensor) -> None:
    rows = rows.abs()
    torch.testing.assert_close(update(rows), rows.sum(dim=0))


def test_two_projected_gradients_oppose_neither() -> None:
    rows = torch.tensor([[1.0, 0.0], [-5.0, 0.1]], dtype=torch.float64)
    assert (rows @ update(rows) >= 0).all()
