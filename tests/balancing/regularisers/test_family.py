"""What every regulariser must do, whatever it penalises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from tests.balancing.regularisers.models import model, moved
from torch import Tensor

import motet.balancing.regularisers
from motet.balancing.regularisers.base import Features, Penalty, Regulariser
from motet.balancing.regularisers.orthogonality import Orthogonality
from motet.errors import RecipeError
from motet.registry import describe, find, names

RECIPES: dict[str, Regulariser] = {
    name: Orthogonality(tasks=(("a", "b"),)) if name == "orthogonality" else find("regulariser", name)()
    for name in names("regulariser")
}
READING = [name for name, recipe in RECIPES.items() if recipe.reads]
every = pytest.mark.parametrize("name", RECIPES)
every_reading = pytest.mark.parametrize("name", READING)

# Rows that are alike, empty, opposite, far away or hardly apart.
NASTY = st.lists(
    st.sampled_from([(0.0, 0.0, 0.0), (1.0, 2.0, -1.0), (-1.0, -2.0, 1.0), (1e3, 0.0, 1.0), (1.0, 2.0, -1.000001)]),
    min_size=1,
    max_size=5,
)


def matrix(rows: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(rows, dtype=dtype, requires_grad=True)


def features(**rows: Tensor) -> dict[str, Features]:
    return {task: Features(of, torch.arange(len(of)) % 2) for task, of in rows.items()}


@every
def test_it_is_registered_described_and_exported(name: str) -> None:
    recipe = RECIPES[name]
    assert describe(recipe)["type"] == name
    assert type(recipe).__name__ in motet.balancing.regularisers.__all__
    assert type(recipe)(**{f: getattr(recipe, f) for f in describe(recipe) if f != "type"}) == recipe


@every
@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_a_weight_must_be_a_number_of_at_least_0(name: str, weight: float) -> None:
    with pytest.raises(RecipeError, match="weight"):
        type(RECIPES[name])(weight=weight)


@every
def test_all_state_is_in_buffers_that_can_be_saved(name: str) -> None:
    penalty = RECIPES[name].build(model())
    assert list(penalty.parameters()) == []
    assert load(save(penalty.state_dict())).keys() == penalty.state_dict().keys()


@every
def test_the_weight_is_a_factor(name: str) -> None:
    torch.manual_seed(0)
    given = features(a=torch.randn(4, 3), b=torch.randn(5, 3))
    once, twice = (value_after_moving(with_weight(name, weight), given) for weight in (0.5, 1.0))
    assert once.item() > 0
    assert twice.item() == pytest.approx(2 * once.item(), rel=1e-5)


def with_weight(name: str, weight: float) -> Regulariser:
    described = {field: getattr(RECIPES[name], field) for field in describe(RECIPES[name]) if field != "type"}
    return type(RECIPES[name])(**{**described, "weight": weight, **({"own": 0.0} if "own" in described else {})})


def value_after_moving(recipe: Regulariser, given: Mapping[str, Features]) -> Tensor:
    parameters = model()
    penalty = recipe.build(parameters)
    penalty.begin(0, ["a"])
    moved(parameters, 0.5)
    return penalty(given).detach()


@every_reading
@settings(max_examples=40)
@given(a=NASTY, b=NASTY)
def test_values_and_gradients_are_finite(name: str, a: Any, b: Any) -> None:
    one, other = matrix(a), matrix(b)
    value = RECIPES[name].build(model())(features(a=one, b=other))
    assert value.isfinite()
    if value.requires_grad:
        value.backward()  # type: ignore[no-untyped-call]
        assert all(rows.grad is None or rows.grad.isfinite().all() for rows in (one, other))


@every_reading
@pytest.mark.parametrize("row", [(0.0, 0.0, 0.0), (0.1, -7.3, 1e3)])
def test_rows_that_are_all_alike_are_not_moved(name: str, row: tuple[float, ...]) -> None:
    one, other = matrix([row] * 3), matrix([row] * 4)
    value = RECIPES[name].build(model())(features(a=one, b=other))
    if name != "supervised_contrastive":  # for which rows of two classes in one place are as bad as can be
        assert value.item() == pytest.approx(0, abs=1e-6)
    value.backward()  # type: ignore[no-untyped-call]
    for rows in (one, other):
        assert rows.grad is not None
        torch.testing.assert_close(rows.grad, torch.zeros_like(rows), atol=1e-4, rtol=0)


@every_reading
def test_a_batch_without_the_tasks_has_no_penalty(name: str) -> None:
    penalty = RECIPES[name].build(model())
    single = {"a": Features(torch.ones(1, 3, requires_grad=True), torch.zeros(1, dtype=torch.long))}
    for batch in ({}, single):
        assert penalty(batch).item() == 0


@every_reading
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    torch.manual_seed(1)
    penalty: Penalty = RECIPES[name].build(model())

    def value(one: Tensor, other: Tensor) -> Tensor:
        return penalty(features(a=one, b=other))

    rows = [torch.randn(count, 3, dtype=torch.float64, requires_grad=True) for count in (4, 5)]
    if name == "mmd":  # its width is taken as a constant, so that scaling all rows changes nothing
        frozen = WithWidthOf(rows)
        torch.testing.assert_close(torch.autograd.grad(value(*rows), rows), torch.autograd.grad(frozen(*rows), rows))
        assert torch.autograd.gradcheck(frozen, rows)
    else:
        assert torch.autograd.gradcheck(value, rows)


class WithWidthOf:
    """The default `mmd` with the width of some rows, whatever rows it is given."""

    def __init__(self, rows: list[Tensor]) -> None:
        self.width = torch.cdist(torch.cat(rows), torch.cat(rows)).square().mean().item()

    def __call__(self, one: Tensor, other: Tensor) -> Tensor:
        def kernel(x: Tensor, y: Tensor) -> Tensor:
            squared = (x[:, None] - y).square().sum(dim=-1)
            scales = (0.25, 0.5, 1.0, 2.0, 4.0)
            return torch.stack([torch.exp(-squared / (s * self.width)) for s in scales]).mean()

        return 0.1 * (kernel(one, one) + kernel(other, other) - 2 * kernel(one, other))
