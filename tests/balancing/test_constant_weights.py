from __future__ import annotations

import math

import pytest
from tests.balancing.stepping import build, step

from motet.balancing.base import Facts
from motet.balancing.losses.fixed import FixedWeights
from motet.balancing.losses.inverse_size import InverseSize
from motet.balancing.losses.log_classes import LogClasses
from motet.balancing.losses.sigmoid import SigmoidWeights
from motet.errors import RecipeError

LOSSES = {"a": 1.0, "b": 20.0, "c": 0.0}


def test_fixed_weights_stay() -> None:
    balancer = build(FixedWeights(weights={"a": 0.25, "c": 0}))
    for _ in range(3):
        assert step(balancer, LOSSES) == {"a": 0.25, "b": 1, "c": 0}


@pytest.mark.parametrize("weight", [-1, -1e-9, math.nan, math.inf])
def test_fixed_weights_are_numbers_from_0(weight: float) -> None:
    with pytest.raises(RecipeError, match=r"weights\.b = .*\n.*a number of at least 0"):
        FixedWeights(weights={"a": 1, "b": weight})


def test_fixed_weights_name_tasks() -> None:
    recipe = FixedWeights(weights={"moood": 2, "length": 1})
    (problem,) = recipe.problems(["mood", "length"])
    assert problem.name == "balance.weights.moood"
    assert "Did you mean `mood`?" in problem.rule
    with pytest.raises(RecipeError, match="names no task"):
        recipe.build({"mood": Facts(), "length": Facts()})


def test_fixed_weights_leave_something_to_learn() -> None:
    recipe = FixedWeights(weights={"a": 0, "b": 0})
    assert list(recipe.problems(["a", "b", "c"])) == []
    with pytest.raises(RecipeError, match="0 for every task"):
        recipe.build({"a": Facts(), "b": Facts()})


def test_inverse_size() -> None:
    balancer = InverseSize().build({"a": Facts(examples=100), "b": Facts(examples=300), "c": Facts(examples=600)})
    assert step(balancer, LOSSES) == pytest.approx({"a": 2.0, "b": 2 / 3, "c": 1 / 3})
    assert step(balancer, {"b": 1.0}) == pytest.approx({"b": 2 / 3})
    assert step(InverseSize().build({"a": Facts(examples=0)}), {"a": 1.0}) == {"a": 1}


def test_log_classes() -> None:
    facts = {"a": Facts(classes=2), "b": Facts(classes=100), "c": Facts(), "d": Facts(classes=1)}
    expected = {"a": 1 / math.log(2), "b": 1 / math.log(100), "c": 1, "d": 1}
    assert step(LogClasses().build(facts), dict.fromkeys("abcd", 3.0)) == pytest.approx(expected)


def test_the_blind_guess_costs_1() -> None:
    facts = {"a": Facts(classes=5), "b": Facts(classes=77)}
    blind = {task: math.log(facts[task].classes) for task in facts}
    found = step(LogClasses().build(facts), blind)
    assert [found[task] * blind[task] for task in facts] == pytest.approx([1, 1])


def test_sigmoid_weights_are_switched_on() -> None:
    balancer = build(SigmoidWeights(switches={"a": 0.5, "b": 0.2}, constants={"a": 4, "c": 3}, width=0.1))
    by_hand = [
        {"a": 4 / (1 + math.exp(5)), "b": 1 / (1 + math.exp(2)), "c": 3},
        {"a": 4 / (1 + math.exp(3)), "b": 0.5, "c": 3},
        {"a": 2, "b": 1 / (1 + math.exp(-3)), "c": 3},
        {"a": 4 / (1 + math.exp(-5)), "b": 1 / (1 + math.exp(-8)), "c": 3},
    ]
    for at, expected in zip((0, 200, 500, 1000), by_hand, strict=True):
        balancer.begin(at, 1000)
        assert step(balancer, LOSSES) == pytest.approx(expected, rel=1e-5)


def test_a_narrow_sigmoid_is_a_step() -> None:
    balancer = build(SigmoidWeights(switches={"a": 0.5}, width=1e-9))
    for at, expected in ((0, 0.0), (499, 0.0), (501, 1.0), (1000, 1.0)):
        balancer.begin(at, 1000)
        assert step(balancer, {"a": 1.0}) == {"a": expected}


def test_sigmoid_options_are_checked() -> None:
    with pytest.raises(RecipeError) as raised:
        SigmoidWeights(constants={"a": -1}, switches={"b": -0.5}, width=0)
    assert [problem.name for problem in raised.value.problems] == ["constants.a", "switches.b", "width"]
    with pytest.raises(RecipeError, match=r"balance\.constants\.x[\s\S]*balance\.switches\.y"):
        build(SigmoidWeights(constants={"x": 1}, switches={"y": 0.5}))
