from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.training.convergence import Check, Patience, Tracker
from motet.training.standings import BestMean, Standing, mean_normalised

SCORES = st.fixed_dictionaries({task: st.floats(0.01, 1) for task in ("a", "b", "c")})


@given(SCORES)
def test_the_best_scores_come_to_one(scores: dict[str, float]) -> None:
    assert mean_normalised(scores, scores) == pytest.approx(1)


@given(SCORES, SCORES)
def test_positive_scores_are_shares_of_the_best(scores: dict[str, float], bests: dict[str, float]) -> None:
    expected = sum(min(1, scores[task] / bests[task]) for task in bests) / 3
    assert mean_normalised(scores, bests) == pytest.approx(expected)


def test_scores_that_should_be_low_count_by_how_many_times_they_are_the_best() -> None:
    assert mean_normalised({"a": -0.6}, {"a": -0.5}) == pytest.approx(5 / 6)
    assert mean_normalised({"a": -0.2}, {"a": 0.0}) == pytest.approx(1 / 1.2)
    assert mean_normalised({"a": 0.0}, {"a": 0.0}) == 1


ANY = st.floats(-1e9, 1e9) | st.just(-math.inf)


@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=4))
def test_no_task_can_swamp_the_others(pairs: list[tuple[float, float]]) -> None:
    """Each is worth 0 to 1, as its scores are never above its best."""
    scores = {str(at): min(pair) for at, pair in enumerate(pairs)}
    bests = {str(at): max(pair) for at, pair in enumerate(pairs)}
    assert 0 <= mean_normalised(scores, bests) <= 1


@given(ANY, ANY, ANY)
def test_a_better_score_is_never_worth_less(one: float, other: float, best: float) -> None:
    low, middle, best = sorted((one, other, best))
    assert mean_normalised({"a": low}, {"a": best}) <= mean_normalised({"a": middle}, {"a": best})


def test_a_huge_perplexity_does_not_decide_alone() -> None:
    """Foreseeing words ten times as well is worth less than what two other tasks lose by it."""
    best = BestMean()
    best.offer("first", {"words": -2e9, "mood": 0.9, "size": 0.9}, {"words": -2e9, "mood": 0.9, "size": 0.9})
    best.offer("second", {"words": -2e8, "mood": 0.3, "size": 0.3}, {"words": -2e8, "mood": 0.9, "size": 0.9})
    assert best.snapshot == "first"
    infinite = {"words": -math.inf, "mood": 0.9}
    assert mean_normalised(infinite, {"words": -40.0, "mood": 0.9}) == pytest.approx(0.5)
    assert mean_normalised(infinite, infinite) == 1


def test_the_best_mean_is_judged_by_what_is_known_by_then() -> None:
    best = BestMean()
    best.offer("first", {"a": 0.8, "b": 0.2}, {"a": 0.8, "b": 0.2})
    best.offer("equal", {"a": 0.8, "b": 0.2}, {"a": 0.8, "b": 0.2})
    assert best.snapshot == "first"
    best.offer("worse", {"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.2})
    assert best.snapshot == "first"
    best.offer("better", {"a": 0.7, "b": 0.4}, {"a": 0.9, "b": 0.4})
    assert best == BestMean("better", {"a": 0.7, "b": 0.4})


def test_a_best_mean_of_steps_that_were_thrown_away_is_not_outdone_by_less() -> None:
    """The bests that a rewind left are below it, but its weights are still there."""
    best = BestMean("kept", {"a": 0.8, "b": -0.5})
    best.offer("later", {"a": 0.6, "b": -0.7}, {"a": 0.6, "b": -0.7})
    assert best.snapshot == "kept"
    best.offer("latest", {"a": 0.8, "b": -0.4}, {"a": 0.8, "b": -0.4})
    assert best.snapshot == "latest"


def test_a_standing_comes_back_whole() -> None:
    rule = Patience(checks=2)
    standing = Standing(
        Tracker(rule), "converged", 0.5, "soft_labels/a.arrow", ("00000010-1", "00000020-1"), 1, True, 10
    )
    standing.tracker.observe(Check(10, 9, 0.5, 0.1, 2.5, "00000010-1"))
    restored = Standing(Tracker(rule))
    restored.restore(json.loads(json.dumps(standing.state())))
    assert restored == standing
