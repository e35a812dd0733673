"""Scores as plain data, the table of metrics, and what holds for every answer shape."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.metrics.oracles import scored, values

from motet import metrics
from motet.metrics import METRICS, Score

IGNORED = -100
Scorer = Callable[..., dict[str, Score]]

NO_ROWS = np.zeros(0, np.int64)
NOTHING: dict[str, tuple[Scorer, tuple[Any, ...]]] = {
    "classification": (metrics.classification, (NO_ROWS, NO_ROWS, 3, 1)),
    "multilabel": (metrics.multilabel, (np.zeros((0, 3)), np.zeros((0, 3)))),
    "ordinal": (metrics.ordinal, (NO_ROWS, NO_ROWS, 3)),
    "regression": (metrics.regression, (np.zeros(0), np.zeros(0))),
    "tagging": (metrics.tagging, ([], [], ("O", "B-x"), IGNORED)),
    "tagging of empty sentences": (metrics.tagging, (np.zeros((2, 0)), np.zeros((2, 0)), ("O", "B-x"), IGNORED)),
    "tagging without true tags": (metrics.tagging, ([np.array([IGNORED])], [np.array([1])], ("O", "B-x"), IGNORED)),
    "ranking": (metrics.ranking, (np.zeros(0), np.zeros(0), NO_ROWS)),
    "ranking without relevant candidates": (metrics.ranking, (np.ones(3), np.zeros(3), np.array([0, 0, 1]))),
    "spans": (metrics.spans, ([], [])),
    "generation": (metrics.generation, ([], [])),
    "perplexity": (metrics.perplexity, (np.zeros(0), NO_ROWS)),
    "perplexity of empty rows": (metrics.perplexity, (np.zeros(0), np.zeros(3, np.int64))),
}
ONE = np.array([1])
SINGLE: dict[str, tuple[Scorer, tuple[Any, ...]]] = {
    "classification": (metrics.classification, (ONE, ONE, 2, 1)),
    "multilabel": (metrics.multilabel, (np.array([[1, 0]]), np.array([[1, 1]]))),
    "multilabel without labels": (metrics.multilabel, (np.zeros((1, 2)), np.zeros((1, 2)))),
    "ordinal": (metrics.ordinal, (ONE, ONE, 3)),
    "regression": (metrics.regression, (np.array([1.0]), np.array([3.0]))),
    "tagging": (metrics.tagging, ([np.array([1, 0])], [np.array([1, 1])], ("O", "B-x"), IGNORED)),
    "ranking": (metrics.ranking, (np.array([0.5, 0.2]), np.array([0, 1]), np.array([7, 7]))),
    "ranking of one candidate": (metrics.ranking, (np.array([0.5]), np.array([2]), np.array([0]))),
    "spans": (metrics.spans, (["a cat"], [["cat"]])),
    "generation": (metrics.generation, (["a cat"], [["the cat", "cats"]])),
    "generation of nothing": (metrics.generation, ([""], [[]])),
    "perplexity": (metrics.perplexity, (np.array([1.0, 2.0]), np.array([2]))),
}


def test_score_survives_json() -> None:
    score = Score(0.25, 0.125)
    assert Score.from_plain(json.loads(json.dumps(score.plain()))) == score


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_null_in_json(number: float) -> None:
    plain = Score(number, number).plain()
    assert plain == {"value": None, "se": None}
    back = Score.from_plain(plain)
    assert math.isnan(back.value)
    assert math.isnan(back.se)


def test_every_score_is_a_known_metric() -> None:
    scores = {name for scorer, arguments in SINGLE.values() for name in scorer(*arguments)}
    assert {*scores, "loss"} == METRICS.keys(), "the true-label loss is the task's own"
    assert all(metric.name == name and metric.description for name, metric in METRICS.items())


def test_lower_is_better_for_errors_alone() -> None:
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"rmse", "mae", "hamming_loss", "loss", "perplexity"}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_scores_zero_with_unknown_error(case: str) -> None:
    scorer, arguments = NOTHING[case]
    for score in scorer(*arguments).values():
        assert score.value == 0.0
        assert math.isnan(score.se)


@pytest.mark.parametrize("case", SINGLE)
def test_error_of_a_single_row_is_unknown(case: str) -> None:
    scorer, arguments = SINGLE[case]
    scores = scorer(*arguments)
    assert scored(scores)
    assert all(math.isnan(score.se) for score in scores.values())


def test_nothing_has_the_names_of_something() -> None:
    for case, (scorer, arguments) in SINGLE.items():
        if case in NOTHING:
            assert list(NOTHING[case][0](*NOTHING[case][1])) == list(scorer(*arguments))


def test_values_of_a_single_row() -> None:
    numbers = values(metrics.regression(np.array([1.0]), np.array([3.0])))
    assert numbers["rmse"] == numbers["mae"] == 2.0
    assert values(metrics.classification(ONE, ONE, 2, 1))["accuracy"] == 1.0


def test_scores_of_texts_are_loaded_when_they_are_needed() -> None:
    program = "import sys, motet.metrics; print(*({'torch', 'sacrebleu', 'rouge_score', 'sklearn'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not done.stdout.split()
