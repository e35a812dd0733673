"""The geometric mean and the sum of logarithms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.balancing.stepping import build, slopes, step
from torchjd import scalarization

from motet.balancing.losses.geometric import GeometricMean
from motet.balancing.losses.scale_invariant import ScaleInvariant
from motet.errors import RecipeError

LOSSES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4)


def test_known_values() -> None:
    # The mean of 1, 4 and 16 is 4; a task weighs 4 / (3 loss).
    losses = {"a": 1.0, "b": 4.0, "c": 16.0}
    assert step(build(GeometricMean()), losses) == pytest.approx({"a": 4 / 3, "b": 1 / 3, "c": 1 / 12})
    assert step(build(ScaleInvariant()), losses) == pytest.approx({"a": 1, "b": 0.25, "c": 0.0625})


@given(LOSSES)
def test_like_torchjd(losses: list[float]) -> None:
    expected = slopes(scalarization.GeometricMean(), torch.tensor(losses))
    found = step(build(GeometricMean()), dict(zip("abcd", losses, strict=False)))
    assert list(found.values()) == pytest.approx(expected.tolist(), rel=1e-4)


@given(LOSSES)
def test_every_weighted_loss_is_the_same(losses: list[float]) -> None:
    named = dict(zip("abcd", losses, strict=False))
    found = step(build(ScaleInvariant()), named)
    assert [found[task] * named[task] for task in named] == pytest.approx([1] * len(named), rel=1e-4)


def test_a_product_that_overflows_does_no_harm() -> None:
    found = step(build(GeometricMean()), {"a": 1e30, "b": 1e30, "c": 1e-30})
    assert found["a"] == found["b"] > 0


def test_a_loss_of_zero_counts_as_the_floor() -> None:
    found = step(build(GeometricMean(floor=0.01)), {"a": 0.0, "b": 0.99})
    assert found == pytest.approx({"a": 0.1 / 2 / 0.01, "b": 0.1 / 2})
    assert step(build(ScaleInvariant(floor=0.01)), {"a": 0.0}) == pytest.approx({"a": 100})


@pytest.mark.parametrize("recipe", [GeometricMean(), ScaleInvariant()])
def test_negative_losses_are_refused_by_name(recipe: GeometricMean | ScaleInvariant) -> None:
    with pytest.raises(RuntimeError, match="the loss of b, d is negative"):
        step(build(recipe), {"a": 0.0, "b": -1.0, "c": 1.0, "d": -1e-12})


@pytest.mark.parametrize("rule", [GeometricMean, ScaleInvariant])
def test_the_floor_is_positive(rule: type[GeometricMean]) -> None:
    with pytest.raises(RecipeError, match="floor = 0"):
        rule(floor=0)
