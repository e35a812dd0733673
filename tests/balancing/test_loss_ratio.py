from __future__ import annotations

import pytest
from tests.balancing.stepping import build, step

from motet.balancing.base import Facts
from motet.balancing.losses.loss_ratio import LossRatio
from motet.errors import RecipeError


def test_three_steps_by_hand() -> None:
    balancer = build(LossRatio(reference="b"), "abc")
    assert step(balancer, {"a": 1, "b": 2, "c": 3}) == pytest.approx({"a": 0.1, "b": 1, "c": 0.1})
    assert step(balancer, {"a": 4, "b": 1, "c": 2}) == pytest.approx({"a": 0.05, "b": 1, "c": 0.15})
    assert step(balancer, {"a": 4, "b": 1, "c": 2}) == pytest.approx({"a": 0.2, "b": 1, "c": 0.3})


def test_weights_stay_between_their_bounds() -> None:
    balancer = build(LossRatio(reference="b", lowest=0.05, start=0.1, highest=2), "abc")
    for _ in range(5):
        found = step(balancer, {"a": 9, "b": 1, "c": 0})
    assert found == pytest.approx({"a": 2, "b": 1, "c": 0.05})
    step(balancer, {"a": 0, "b": 0})
    assert step(balancer, {"a": 1}) == pytest.approx({"a": 0.05})


@pytest.mark.parametrize("losses", [{"a": 5.0}, {"b": 5.0}, {"a": 5.0, "c": 1.0}])
def test_a_step_without_both_sides_changes_nothing(losses: dict[str, float]) -> None:
    balancer = build(LossRatio(reference="b"), "abc")
    before = balancer.state_dict()["factors"].clone()
    step(balancer, losses)
    assert balancer.state_dict()["factors"].equal(before)


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError, match="must lie between lowest and highest"):
        LossRatio(reference="b", start=2)
    with pytest.raises(RecipeError, match="Did you mean `mood`"):
        LossRatio(reference="moods").build({"mood": Facts(), "length": Facts()})
