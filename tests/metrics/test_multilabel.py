"""Any number of labels a row, against scikit-learn and resampled rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from tests.metrics.oracles import resampled_errors, scored, values

from motet import metrics
from motet.metrics import Score

Rows = list[list[tuple[int, int]]]


def oracle(truth: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    there = (truth + guess).any(axis=0)
    each = sklearn.f1_score(truth, guess, average=None, zero_division=0)
    return {
        "micro_f1": float(sklearn.f1_score(truth, guess, average="micro", zero_division=0)),
        "macro_f1": float(each[there].mean()) if there.any() else 0.0,
        "exact_match": float(sklearn.accuracy_score(truth, guess)),
        "hamming_loss": float(sklearn.hamming_loss(truth, guess)),
        "jaccard": float(sklearn.jaccard_score(truth, guess, average="samples", zero_division=1)),
    }


def tables(classes: int) -> st.SearchStrategy[Rows]:
    """Rows of true and guessed decisions, most of them no."""
    cell = st.sampled_from([(0, 0), (0, 0), (1, 1), (0, 1), (1, 0)])
    return st.lists(st.lists(cell, min_size=classes, max_size=classes), min_size=1, max_size=12)


@settings(max_examples=200)
@given(st.integers(2, 5).flatmap(tables))
def test_multilabel_equals_scikit_learn(rows: Rows) -> None:
    truth, guess = np.moveaxis(np.array(rows), -1, 0)
    scores = metrics.multilabel(truth, guess)
    assert values(scores) == pytest.approx(oracle(truth, guess), abs=1e-12)
    assert scored(scores)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float32])
def test_decisions_may_be_of_any_type(dtype: type) -> None:
    truth, guess = np.array([[1, 0, 1], [0, 0, 0]]), np.array([[1, 1, 0], [0, 0, 1]])
    assert metrics.multilabel(truth.astype(dtype), guess.astype(dtype)) == metrics.multilabel(truth, guess)


def test_nothing_true_and_nothing_guessed() -> None:
    none = np.zeros((3, 2), np.int64)
    scores = metrics.multilabel(none, none)
    assert scores["exact_match"] == scores["jaccard"] == Score(1.0, 0.0)
    assert scores["micro_f1"] == scores["macro_f1"] == scores["hamming_loss"] == Score(0.0, 0.0)


def test_macro_f1_leaves_out_classes_that_are_nowhere() -> None:
    truth, guess = np.array([[1, 0, 0], [0, 0, 0]]), np.array([[1, 0, 0], [0, 1, 0]])
    assert metrics.multilabel(truth, guess)["macro_f1"].value == 0.5


def test_one_label_a_row_scores_as_classification() -> None:
    true, found = np.random.default_rng(2).integers(0, 5, (2, 60))
    several = metrics.multilabel(np.eye(5)[true], np.eye(5)[found])
    one = metrics.classification(true, found, classes=5, positive=0)
    assert several["micro_f1"].value == pytest.approx(one["micro_f1"].value)
    assert several["macro_f1"].value == pytest.approx(one["macro_f1"].value)
    assert several["macro_f1"].se == pytest.approx(one["macro_f1"].se, rel=0.2)
    assert several["exact_match"].value == pytest.approx(one["accuracy"].value)


def test_multilabel_errors_agree_with_resampled_rows() -> None:
    draw = np.random.default_rng(9)
    truth = (draw.random((300, 6)) < [0.5, 0.3, 0.3, 0.2, 0.15, 0.1]).astype(np.int64)
    truth *= draw.random((300, 1)) < 0.8  # the decisions of a row go together
    guess = np.where(draw.random((300, 6)) < 0.85, truth, 1 - truth)
    scores = metrics.multilabel(truth, guess)
    expected = resampled_errors(lambda rows: oracle(truth[rows], guess[rows]), 300, draw)
    assert {name: score.se for name, score in scores.items()} == pytest.approx(expected, rel=0.2)
