"""One number a row, against scipy, scikit-learn and resampled rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn
from tests.metrics.oracles import resampled_errors, values

from motet import metrics
from motet.metrics import Score

exactly = settings(max_examples=100)
numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 3))


@exactly
@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40))
def test_regression_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    truth, guess = np.array(pairs).T
    found = values(metrics.regression(truth, guess))
    assert found["mae"] == pytest.approx(float(sklearn.mean_absolute_error(truth, guess)))
    assert found["rmse"] == pytest.approx(math.sqrt(sklearn.mean_squared_error(truth, guess)))
    if np.ptp(truth) > 0 and np.ptp(guess) > 0:
        assert found["spearman"] == pytest.approx(stats.spearmanr(truth, guess).statistic, abs=1e-9)
        assert found["pearson"] == pytest.approx(np.corrcoef(truth, guess)[0, 1], abs=1e-6)


@exactly
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_ranks_of_ties_equal_scipy(whole: list[int]) -> None:
    found = metrics.regression(np.array(whole, dtype=float), np.arange(len(whole), dtype=float))["spearman"].value
    expected = stats.spearmanr(whole, np.arange(len(whole))).statistic if len(set(whole)) > 1 else 0.0
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 7.3])  # the mean of equal numbers may differ from them in the last bit
def test_a_constant_correlates_with_nothing(constant: float) -> None:
    varied, flat = np.arange(19.0), np.full(19, constant)
    for scores in (metrics.regression(varied, flat), metrics.regression(flat, varied), metrics.regression(flat, flat)):
        assert scores["pearson"].value == 0.0
        assert scores["spearman"].value == 0.0
        assert scores["pearson"].se == 0.25


def test_correlation_of_large_and_of_tiny_numbers() -> None:
    truth = np.array([1.0, 2.0, 3.0, 5.0])
    for scale in (1e-200, 1e70):
        assert metrics.regression(truth, truth * scale)["pearson"].value == pytest.approx(1.0)


def test_regression_errors_agree_with_resampled_examples() -> None:
    draw = np.random.default_rng(5)
    truth = draw.normal(size=400)
    guess = 0.6 * truth + draw.normal(scale=0.5, size=400)
    scores = metrics.regression(truth, guess)
    expected = resampled_errors(lambda rows: values(metrics.regression(truth[rows], guess[rows])), 400, draw, 600)
    assert {name: score.se for name, score in scores.items()} == pytest.approx(expected, rel=0.2)


def test_exact_predictions_have_no_error() -> None:
    scores = metrics.regression(np.arange(10.0), np.arange(10.0))
    assert scores["rmse"] == scores["mae"] == Score(0.0, 0.0)
    assert scores["pearson"].value == pytest.approx(1.0)


def test_predictions_that_are_not_finite_are_not_hidden() -> None:
    for bad in (math.nan, math.inf):
        scores = metrics.regression(np.arange(5.0), np.array([0.0, 1.0, bad, 3.0, 4.0]))
        assert all(math.isnan(score.value) for score in scores.values())
