from __future__ import annotations

import torch
from hypothesis import given
from tests.balancing.gradients.jacobians import friendly, jacobian, jacobians, names
from torch import Tensor
from torchjd.aggregation import UPGradWeighting as Oracle
from torchjd.linalg import QuadprogProjector

from motet.balancing.gradients.upgrad import UPGrad


def weights_of(rows: Tensor) -> Tensor:
    return UPGrad().weighting(names(len(rows)))(rows @ rows.T, names(len(rows)))


@given(friendly())
def test_it_agrees_with_torchjd(rows: Tensor) -> None:
    oracle = Oracle(projector=QuadprogProjector(norm_eps=0.0, reg_eps=1e-13))
    torch.testing.assert_close(weights_of(rows), oracle(rows @ rows.T), rtol=1e-5, atol=1e-7)


@given(jacobians())
def test_the_update_opposes_no_task(rows: Tensor) -> None:
    weights = weights_of(rows)
    size = rows.norm(dim=1) * (weights @ rows.norm(dim=1))
    assert (weights >= 0).all()
    assert (rows @ (weights @ rows) >= -1e-9 * size).all()


@given(jacobians(("agreeing",)))
def test_without_conflict_it_is_the_mean(rows: Tensor) -> None:
    rows = rows.abs()
    torch.testing.assert_close(weights_of(rows) @ rows, rows.mean(dim=0))


def test_a_small_case_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(weights_of(rows) @ rows, torch.tensor([0.25, 0.75], dtype=torch.float64))


def test_opposite_gradients_cancel() -> None:
    rows = torch.tensor([[3.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(weights_of(rows) @ rows, torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)


def test_a_zero_gradient_has_weight_zero() -> None:
    rows = jacobian("one zero")
    weights = weights_of(rows)
    assert weights[0] == 0
    torch.testing.assert_close(weights[1:], weights_of(rows[1:]) * 3 / 4)
