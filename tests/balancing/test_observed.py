"""Rules that go by validation scores."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.balancing.stepping import build, step

from motet.balancing.base import Facts
from motet.balancing.losses.coba import CoBa
from motet.balancing.losses.dynamic_task_prioritisation import DynamicTaskPrioritisation
from motet.balancing.losses.inverse_score import InverseScore
from motet.balancing.losses.weighting import LossBalance
from motet.errors import RecipeError

Numbers = npt.NDArray[np.float64]

ANY = {"a": 3.0, "b": 0.1}
FALLING = {"a": Facts(), "b": Facts(higher_is_better=False)}


@pytest.mark.parametrize("recipe", [CoBa(), DynamicTaskPrioritisation(), InverseScore()])
def test_weights_are_equal_before_the_first_check(recipe: LossBalance) -> None:
    assert step(build(recipe), ANY) == pytest.approx({"a": 1, "b": 1})


@pytest.mark.parametrize("recipe", [CoBa(), DynamicTaskPrioritisation(), InverseScore()])
def test_scores_that_are_not_finite_are_not_heard(recipe: LossBalance) -> None:
    balancer = build(recipe)
    for score in (0.3, 0.5, 0.6):
        balancer.observe({"a": score, "b": 1.1 * score})
    before = step(balancer, {"a": 1.0})
    if not isinstance(recipe, CoBa):  # which forgets a trend that a check did not confirm
        balancer.observe({"a": math.nan, "b": math.inf})
        assert step(balancer, {"a": 1.0}) == before
    else:
        balancer.observe({"a": math.nan, "b": math.nan})
        assert step(balancer, ANY) == pytest.approx({"a": 1, "b": 1})


@pytest.mark.parametrize(
    ("gamma", "expected"), [(0, (0.105361, 0.693147)), (1, (0.010536, 0.346574)), (2, (0.001054, 0.173287))]
)
def test_prioritisation_by_hand(gamma: float, expected: tuple[float, float]) -> None:
    balancer = build(DynamicTaskPrioritisation(gamma=gamma))
    balancer.observe({"a": 0.9, "b": 0.5})
    assert tuple(step(balancer, ANY).values()) == pytest.approx(expected, rel=1e-3)


def test_prioritisation_goes_by_a_moving_mean() -> None:
    balancer = build(DynamicTaskPrioritisation(gamma=0, smoothing=0.25))
    for score in (0.8, 0.4, 0.2):
        balancer.observe({"a": score})
    mean = 0.25 * 0.2 + 0.75 * (0.25 * 0.4 + 0.75 * 0.8)
    assert step(balancer, ANY) == pytest.approx({"a": -math.log(mean), "b": 1})


@pytest.mark.parametrize(("score", "kept"), [(-0.3, 1e-3), (0, 1e-3), (1, 1 - 1e-3), (55, 1 - 1e-3)])
def test_prioritisation_stays_off_the_ends(score: float, kept: float) -> None:
    balancer = build(DynamicTaskPrioritisation())
    balancer.observe({"a": score})
    assert step(balancer, {"a": 1})["a"] == pytest.approx(-(1 - kept) * math.log(kept), rel=1e-3)


def test_prioritisation_needs_scores_that_grow() -> None:
    with pytest.raises(RecipeError, match="b has one that falls"):
        DynamicTaskPrioritisation().build(FALLING)


def test_inverse_scores_by_hand() -> None:
    balancer = build(InverseScore(baselines={"a": 0.8, "c": 0.5}, power=2, smoothing=0.25), "abc")
    balancer.observe({"a": 0.4, "b": 1.0, "c": 0.9})
    raw = {"a": 1 / (0.25 + 0.25), "b": 1 / 1.25, "c": 1 / 1.25}  # c is above its baseline, which counts as 1
    expected = {task: 3 * weight / sum(raw.values()) for task, weight in raw.items()}
    assert step(balancer, {"a": 1, "b": 1, "c": 1}) == pytest.approx(expected)
    assert step(balancer, {"a": 1, "b": 1}) == pytest.approx({"a": 2 / 1.4, "b": 0.8 / 1.4})


def test_inverse_scores_that_fall_are_turned_over() -> None:
    balancer = InverseScore(baselines={"b": 0.3}, smoothing=0.1).build(FALLING)
    balancer.observe({"a": 0.5, "b": 0.6})
    assert step(balancer, ANY) == pytest.approx({"a": 1, "b": 1})
    balancer.observe({"b": 0.0})
    assert step(balancer, ANY)["b"] < 1


@pytest.mark.parametrize("score", [0.0, -2.0])
def test_the_smoothing_bounds_inverse_scores(score: float) -> None:
    balancer = build(InverseScore(smoothing=0.1), "ab")
    balancer.observe({"a": score})
    found = step(balancer, ANY)
    assert found["a"] / found["b"] == pytest.approx(11)


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError, match=r"balance\.baselines\.b\n.*is missing"):
        InverseScore().build(FALLING)
    with pytest.raises(RecipeError, match=r"balance\.baselines\.x\n.*names no task"):
        build(InverseScore(baselines={"x": 0.5}))
    with pytest.raises(RecipeError) as raised:
        InverseScore(baselines={"a": 0}, power=-1, smoothing=0)
    assert [problem.name for problem in raised.value.problems] == ["baselines.a", "power", "smoothing"]
    with pytest.raises(RecipeError, match="gamma = -1"):
        DynamicTaskPrioritisation(gamma=-1)
    with pytest.raises(RecipeError, match="smoothing = 0"):
        DynamicTaskPrioritisation(smoothing=0)
    with pytest.raises(RecipeError) as raised:
        CoBa(window=1, warmup=0, tau=0)
    assert [problem.name for problem in raised.value.problems] == ["window", "warmup", "tau"]


def softmax(numbers: Numbers) -> Numbers:
    powers: Numbers = np.exp(numbers - numbers.max())
    shares: Numbers = powers / powers.sum()
    return shares


def over(slopes: Numbers) -> Numbers:
    total: Numbers = np.abs(slopes).sum(axis=0)
    return total.clip(min=1e-8)  # flat curves have no trend


def coba(curves: Numbers, window: int, tau: float) -> Numbers:
    """The weights after the last column, straight from the formulas of the paper; every task has every point."""
    curves = curves / curves[:, :1]
    slopes = np.array(
        [
            [np.polyfit(range(len(part)), part, 1)[0] for part in (row[max(0, t - window) : t] for row in curves)]
            for t in range(2, curves.shape[1] + 1)
        ]
    ).T
    now, k, total = slopes[:, -1], len(curves), slopes.shape[1]
    relative = softmax(k * now / over(now))
    recent = slopes[:, -window:]
    absolute = softmax(-recent.shape[1] * now / over(recent.T))
    worst = slopes.max(axis=0)
    divergence = min(1.0, total * softmax(-tau * total * worst / over(worst))[-1])
    weights: Numbers = k * (divergence * relative + (1 - divergence) * absolute)
    return weights


@given(st.lists(st.tuples(*[st.floats(0.05, 0.95)] * 3), min_size=3, max_size=12), st.integers(2, 5))
def test_coba_like_its_formulas(scores: list[tuple[float, ...]], window: int) -> None:
    balancer = build(CoBa(window=window, warmup=1, tau=2), "abc")
    for column in scores:
        balancer.observe(dict(zip("abc", column, strict=True)))
    curves = 1 - np.array(scores).T
    found = list(step(balancer, {"a": 1, "b": 2, "c": 3}).values())
    assert found == pytest.approx(coba(curves, window, tau=2).tolist(), rel=1e-4, abs=1e-6)


def test_coba_by_hand() -> None:
    balancer = build(CoBa(window=2, warmup=1), "ab")
    balancer.observe({"a": 0.0, "b": 0.0})
    balancer.observe({"a": 0.3, "b": 0.1})  # slopes -0.3 and -0.1; one slope, so DF is 1
    relative = softmax(2 * np.array([-0.3, -0.1]) / 0.4)
    assert list(step(balancer, ANY).values()) == pytest.approx(2 * relative)


def test_coba_holds_back_what_diverges() -> None:
    balancer = build(CoBa(), "ab")
    for a, b in ((0.1, 0.1), (0.4, 0.4), (0.6, 0.6), (0.7, 0.5), (0.75, 0.4), (0.78, 0.3)):
        balancer.observe({"a": a, "b": b})
    found = step(balancer, ANY)
    assert found["b"] < 0.7 < 1.3 < found["a"]


def test_coba_helps_what_is_slow() -> None:
    balancer = build(CoBa(), "ab")
    for at in range(5):
        balancer.observe({"a": 0.1 + 0.15 * at, "b": 0.1 + 0.02 * at})
    found = step(balancer, ANY)
    assert found["b"] > 1.2 > 0.8 > found["a"]


def test_coba_does_not_see_tasks_that_are_not_in_the_step() -> None:
    alone, beside = build(CoBa(), "ab"), build(CoBa(), "abc")
    for at in range(5):
        scores = {"a": 0.1 + 0.15 * at, "b": 0.1 + 0.02 * at}
        alone.observe(scores)
        beside.observe({**scores, "c": 0.9 - 0.2 * at})
    assert step(beside, ANY) == step(alone, ANY)


def test_coba_turns_falling_scores_over() -> None:
    rising, falling = build(CoBa(), "ab"), CoBa().build(FALLING)
    for at in range(5):
        rising.observe({"a": 0.1 * at, "b": 0.2 * at})
        falling.observe({"a": 0.1 * at, "b": 7 * (1 - 0.2 * at)})  # in units of its own
    assert step(falling, ANY) == pytest.approx(step(rising, ANY), rel=1e-4)


def test_coba_sees_no_trend_in_flat_curves() -> None:
    balancer = build(CoBa(window=4), "ab")
    for at in range(8):  # a is not always checked, so points lie at uneven places of the window
        balancer.observe({"b": 0.1} if at in (3, 6) else {"a": 0.3, "b": 0.1})
    assert step(balancer, ANY) == pytest.approx({"a": 1, "b": 1}, abs=1e-6)


def test_coba_warms_up() -> None:
    balancer = build(CoBa(warmup=3), "ab")
    for at in range(5):
        assert (step(balancer, ANY) == {"a": 1, "b": 1}) == (at < 4)  # the fourth check brings the third slope
        balancer.observe({"a": 0.1 * at, "b": 0.2 * at})
