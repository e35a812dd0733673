from __future__ import annotations

import pytest
import torch
from hypothesis import given
from tests.balancing.gradients.jacobians import friendly, jacobian, names
from torch import Tensor
from torchjd.aggregation import ConFIG as Oracle

from motet.balancing.gradients.conflict_free import ConFIG


def update(rows: Tensor) -> Tensor:
    return ConFIG().weighting(names(len(rows)))(rows @ rows.T, names(len(rows))) @ rows


@given(friendly())
def test_it_agrees_with_torchjd_which_sees_the_gradients(rows: Tensor) -> None:
    torch.testing.assert_close(update(rows), Oracle()(rows), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["dependent", "on one line", "two equal", "one zero", "of six scales", "one small"])
def test_it_agrees_on_difficult_gradients_too(kind: str) -> None:
    rows = jacobian(kind, tasks=5)
    torch.testing.assert_close(update(rows), Oracle()(rows), rtol=1e-5, atol=1e-7)


@given(friendly())
def test_cosines_are_equal_and_no_task_is_opposed(rows: Tensor) -> None:
    found = update(rows)
    cosines = rows @ found / rows.norm(dim=1) / found.norm()
    assert (cosines > 0).all()
    torch.testing.assert_close(cosines, cosines.mean().expand(len(rows)), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.norm(), cosines[0] * rows.norm(dim=1).sum(), rtol=1e-5, atol=1e-7)


def test_unit_gradients_that_sum_to_zero_are_counted() -> None:
    rows = torch.tensor([[3.0], [-1.0]], dtype=torch.float64)
    weighting = ConFIG().weighting(["a", "b"])
    weights = weighting(rows @ rows.T, ["a", "b"])
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2.0], dtype=torch.float64))
    torch.testing.assert_close(weights @ rows, torch.zeros(1, dtype=torch.float64))
    assert int(weighting.fallbacks) == 1
