"""One label a row, against scikit-learn and resampled rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.oracles import resampled_errors, sklearn_scores, values

from motet import metrics

labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


@settings(max_examples=100)
@given(labels, st.integers(0, 5))
def test_classification_equals_scikit_learn(pairs: list[tuple[int, int]], positive: int) -> None:
    truth, guess = np.array(pairs).T
    scores = metrics.classification(truth, guess, classes=6, positive=positive)
    assert values(scores) == pytest.approx(sklearn_scores(truth, guess, positive), abs=1e-12)
    assert all(score.se >= 0 for score in scores.values()) == (len(truth) > 1)


@pytest.mark.parametrize(
    ("truth", "guess"),
    [([1, 1, 1], [1, 1, 1]), ([0, 0, 0], [1, 1, 1]), ([0, 1, 0, 1], [1, 0, 1, 0]), ([3], [3]), ([0, 1, 2], [2, 2, 2])],
    ids=["one class", "one class, all wrong", "all wrong", "one row", "constant guess"],
)
def test_classification_of_odd_inputs_equals_scikit_learn(truth: list[int], guess: list[int]) -> None:
    scores = metrics.classification(np.array(truth), np.array(guess), classes=4, positive=1)
    assert values(scores) == pytest.approx(sklearn_scores(np.array(truth), np.array(guess), positive=1), abs=1e-12)


def test_classification_errors_agree_with_resampled_examples() -> None:
    draw = np.random.default_rng(3)
    truth = draw.choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    guess = np.where(draw.random(300) < 0.75, truth, draw.integers(0, 4, 300))
    scores = metrics.classification(truth, guess, classes=4, positive=2)
    expected = resampled_errors(lambda rows: sklearn_scores(truth[rows], guess[rows], positive=2), 300, draw)
    assert {name: score.se for name, score in scores.items()} == pytest.approx(expected, rel=0.2)


def test_accuracy_error_is_binomial() -> None:
    truth = np.zeros(80, dtype=np.int64)
    guess = (np.arange(80) < 20).astype(np.int64)
    assert metrics.classification(truth, guess, 2, 1)["accuracy"].se == pytest.approx(math.sqrt(0.75 * 0.25 / 80))


def test_errors_are_the_same_every_time() -> None:
    truth, guess = np.random.default_rng(0).integers(0, 5, (2, 200))
    assert metrics.classification(truth, guess, 5, 0) == metrics.classification(truth, guess, 5, 0)


def test_matthews_does_not_overflow_on_many_rows() -> None:
    truth = np.repeat(np.array([0, 1, 1, 0]), 600_000)
    guess = np.repeat(np.array([0, 1, 0, 0]), 600_000)
    assert metrics.classification(truth, guess, 2, 1)["matthews"].value == pytest.approx(1 / math.sqrt(3))
