from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies
from tests.balancing.gradients.jacobians import friendly, jacobian, names
from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting as Oracle

from motet.balancing.gradients.aligned import AlignedMTL, Scale
from motet.errors import RecipeError

SCALES = strategies.sampled_from(["min", "median", "rmse"])


def weights_of(rows: Tensor, scale: Scale = "min") -> Tensor:
    return AlignedMTL(scale=scale).weighting(names(len(rows)))(rows @ rows.T, names(len(rows)))


@given(friendly(), SCALES)
def test_it_agrees_with_torchjd_which_takes_the_mean(rows: Tensor, scale: Scale) -> None:
    expected = len(rows) * Oracle(scale_mode=scale)(rows @ rows.T)
    torch.testing.assert_close(weights_of(rows, scale), expected, rtol=1e-6, atol=1e-9)


@given(friendly())
def test_it_is_the_sum_of_aligned_gradients(rows: Tensor) -> None:
    left, singular, right = torch.linalg.svd(rows, full_matrices=False)
    aligned = singular.min() * left @ right
    torch.testing.assert_close(weights_of(rows) @ rows, aligned.sum(dim=0), rtol=1e-6, atol=1e-9)


def test_orthogonal_gradients_of_one_length_are_summed() -> None:
    torch.testing.assert_close(weights_of(3 * torch.eye(4, dtype=torch.float64)), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["dependent", "two equal", "in single precision", "one zero"])
def test_dependent_gradients_do_not_shrink_the_update(kind: str) -> None:
    rows = jacobian(kind, tasks=6)
    singular = torch.linalg.svdvals(rows)
    least = singular[singular > 1e-9].min()
    update = weights_of(rows) @ rows
    assert 0.1 * least <= update.norm() <= math.sqrt(6) * least * (1 + 1e-9)


def test_a_small_gradient_is_no_dependent_one() -> None:
    rows = jacobian("one small")
    update = weights_of(rows) @ rows
    assert float(update @ rows[0]) > 0
    assert float(update.norm()) == pytest.approx(2 * float(torch.linalg.svdvals(rows).min()), rel=1e-6)


def test_an_unknown_scale() -> None:
    with pytest.raises(RecipeError, match="Did you mean `rmse`"):
        AlignedMTL(scale="rms")  # type: ignore[arg-type]
