from __future__ import annotations

import json

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
    expected = sum(scores[task] / bests[task] for task in bests) / 3
    assert mean_normalised(scores, bests) == pytest.approx(expected)


def test_scores_that_should_be_low_lose_by_their_distance() -> None:
    assert mean_normalised({"a": -0.6}, {"a": -0.5}) == pytest.approx(0.8)
    assert mean_normalised({"a": -0.2}, {"a": 0.0}) == pytest.approx(0.8)


def test_the_best_mean_is_judged_by_what_is_known_by_then() -> None:
    best = BestMean()
    best.offer("first", {"a": 0.8, "b": 0.2}, {"a": 0.8, "b": 0.2})
    best.offer("equal", {"a": 0.8, "b": 0.2}, {"a": 0.8, "b": 0.2})
    assert best.snapshot == "first"
    best.offer("worse", {"a": 0.9, "b": 0.1}, {"a": 0.9, "b": 0.2})
    assert best.snapshot == "first"
    best.offer("better", {"a": 0.7, "b": 0.4}, {"a": 0.9, "b": 0.4})
    assert best == BestMean("better", {"a": 0.7, "b": 0.4})


def test_a_standing_comes_back_whole() -> None:
    rule = Patience(checks=2)
    standing = Standing(Tracker(rule), "converged", 0.5, "soft_labels/a.arrow", "00000010-1", 1, True)
    standing.tracker.observe(Check(10, 9, 0.5, 0.1, 2.5, "00000010-1"))
    restored = Standing(Tracker(rule))
    restored.restore(json.loads(json.dumps(standing.state())))
    assert restored == standing
