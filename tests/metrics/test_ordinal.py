"""One step of a scale a row, against scikit-learn, scipy and resampled rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn
from tests.metrics.oracles import resampled_errors, scored, values

from motet import metrics


def oracle(truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    varied = np.ptp(truth) > 0 and np.ptp(guess) > 0
    same = np.ptp(np.concatenate([truth, guess])) == 0
    return {
        "quadratic_kappa": 0.0 if same else float(sklearn.cohen_kappa_score(truth, guess, weights="quadratic")),
        "mae": float(sklearn.mean_absolute_error(truth, guess)),
        "accuracy": float(sklearn.accuracy_score(truth, guess)),
        "macro_f1": float(sklearn.f1_score(truth, guess, average="macro", zero_division=0)),
        "spearman": float(stats.spearmanr(truth, guess).statistic) if varied else 0.0,
    }


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_ordinal_equals_scikit_learn_and_scipy(pairs: list[tuple[int, int]]) -> None:
    # scikit-learn weighs by the place of a class among those that occur: make all of them occur
    truth, guess = np.concatenate([np.array(pairs), np.stack([np.arange(5)] * 2, axis=1)]).T
    scores = metrics.ordinal(truth, guess, classes=5)
    assert values(scores) == pytest.approx(oracle(truth, guess), abs=1e-9)
    assert scored(scores)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_kappa_is_as_it_is_defined(pairs: list[tuple[int, int]]) -> None:
    truth, guess = np.array(pairs).T
    observed = np.mean((truth - guess) ** 2)
    expected = np.mean(np.subtract.outer(truth, guess) ** 2)  # every true step with every guessed one
    found = metrics.ordinal(truth, guess, classes=10)["quadratic_kappa"].value
    assert found == pytest.approx(1.0 - observed / expected if expected else 0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "guess", "kappa"),
    [([2, 2, 2], [2, 2, 2], 0.0), ([1, 1, 1], [3, 3, 3], 0.0), ([0, 1, 3], [2, 2, 2], 0.0), ([0, 3], [3, 0], -1.0)],
    ids=["one step", "one step, all wrong", "constant guess", "upside down"],
)
def test_kappa_of_odd_inputs(truth: list[int], guess: list[int], kappa: float) -> None:
    scores = metrics.ordinal(np.array(truth), np.array(guess), classes=4)
    assert scores["quadratic_kappa"].value == kappa
    assert scored(scores)


def test_two_steps_are_a_plain_kappa() -> None:
    truth, guess = np.random.default_rng(1).integers(0, 2, (2, 50))
    found = metrics.ordinal(truth, guess, classes=2)["quadratic_kappa"].value
    assert found == pytest.approx(sklearn.cohen_kappa_score(truth, guess))


def test_kappa_does_not_overflow_on_many_rows() -> None:
    truth, guess = np.repeat(np.array([[0, 50, 99, 99], [0, 49, 99, 90]]), 600_000, axis=1)
    few = metrics.ordinal(truth[::600_000], guess[::600_000], classes=100)["quadratic_kappa"]
    many = metrics.ordinal(truth, guess, classes=100)["quadratic_kappa"]
    assert many.value == pytest.approx(few.value)
    assert 0 < many.se < few.se / math.sqrt(300_000)


def test_ordinal_errors_agree_with_resampled_rows() -> None:
    draw = np.random.default_rng(4)
    truth = draw.choice(5, 300, p=[0.1, 0.2, 0.3, 0.25, 0.15])
    guess = np.clip(truth + draw.choice([-2, -1, 0, 1], 300, p=[0.1, 0.25, 0.5, 0.15]), 0, 4)
    scores = metrics.ordinal(truth, guess, classes=5)
    expected = resampled_errors(lambda rows: oracle(truth[rows], guess[rows]), 300, draw)
    assert {name: score.se for name, score in scores.items()} == pytest.approx(expected, rel=0.25)
