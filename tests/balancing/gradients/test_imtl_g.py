from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from tests.balancing.gradients.jacobians import friendly, jacobian, names
from torch import Tensor
from torchjd.aggregation import IMTLGWeighting as Oracle

from motet.balancing.gradients.imtl_g import IMTLG


def weights_of(rows: Tensor) -> Tensor:
    return IMTLG().weighting(names(len(rows)))(rows @ rows.T, names(len(rows)))


def papers(rows: Tensor) -> Tensor:
    """The closed form of the paper, on vectors."""
    units = rows / rows.norm(dim=1, keepdim=True)
    apart, turned = rows[0] - rows[1:], units[0] - units[1:]
    others = rows[0] @ turned.T @ torch.linalg.inv(apart @ turned.T)
    return torch.cat([1 - others.sum()[None], others])


def tame(weights: Tensor) -> bool:
    """Whether the weights of the paper are not so far from sum 1 that they are held back."""
    return bool(weights.abs().sum() < 9)


@given(friendly())
def test_it_is_the_closed_form_and_torchjds(rows: Tensor) -> None:
    expected = papers(rows)
    assume(tame(expected))
    torch.testing.assert_close(weights_of(rows), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(weights_of(rows), Oracle()(rows @ rows.T), rtol=1e-5, atol=1e-7)


@given(friendly())
def test_projections_on_all_unit_gradients_are_equal_and_forward(rows: Tensor) -> None:
    along = rows @ (weights_of(rows) @ rows) / rows.norm(dim=1)
    assert (along > 0).all()
    torch.testing.assert_close(along, along.mean().expand(len(rows)), rtol=1e-5, atol=1e-9)


@given(friendly())
def test_the_direction_does_not_depend_on_units(rows: Tensor) -> None:
    scaled = rows * torch.logspace(-2, 3, len(rows), dtype=rows.dtype)[:, None]
    updates = [weights_of(each) @ each for each in (rows, scaled)]
    directions = [update / update.norm() for update in updates]
    torch.testing.assert_close(*directions, rtol=1e-5, atol=1e-6)


def test_the_papers_update_would_turn_around_here() -> None:
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.7, 0.7, 0.05]], dtype=torch.float64)
    rows[2] *= 0.2
    assert (rows @ (papers(rows) @ rows) < 0).all()
    weighting = IMTLG().weighting(names(3))
    update = weighting(rows @ rows.T, names(3)) @ rows
    assert (rows @ update > 0).all()
    assert int(weighting.fallbacks) == 1


@pytest.mark.parametrize("seed", range(5))
def test_dependent_gradients_of_one_length_agree_with_torchjd(seed: int) -> None:
    rows = jacobian("dependent", tasks=5, seed=seed)
    rows = rows / rows.norm(dim=1, keepdim=True)
    expected = Oracle()(rows @ rows.T)
    assert tame(expected)
    torch.testing.assert_close(weights_of(rows) @ rows, expected @ rows)


def test_a_zero_gradient_has_weight_zero_and_changes_nothing() -> None:
    rows = jacobian("agreeing", tasks=3)
    found = weights_of(torch.cat([rows, torch.zeros_like(rows[:1])]))
    torch.testing.assert_close(found[:3], weights_of(rows))
    assert found[3] == 0


def test_unit_gradients_that_sum_to_zero() -> None:
    rows = torch.tensor([[2.0, 0.0], [-0.5, 0.0]], dtype=torch.float64)
    weighting = IMTLG().weighting(["a", "b"])
    weights = weighting(rows @ rows.T, ["a", "b"])
    torch.testing.assert_close(weights, torch.tensor([0.2, 0.8], dtype=torch.float64))
    assert int(weighting.fallbacks) == 1
