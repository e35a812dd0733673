"""A number a text: normalised while learning, in the units of the data everywhere else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motet import metrics
from motet.errors import DataError, RecipeError
from motet.tasks.base import Answers
from motet.tasks.regression import Regression

STARS = Regression("stars", source="a.csv", mean=3.0, scale=2.0)
LOGITS = torch.tensor([[0.5], [-1.0], [0.0]])
TARGET = torch.tensor([1.0, -1.0, 2.0])
ONES = np.ones(3, dtype=np.int64)


def test_the_loss_is_the_summed_squared_error() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = STARS.loss(logits, TARGET, ONES)
    assert loss.item() == pytest.approx(0.25 + 0.0 + 4.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, 2 * (LOGITS - TARGET[:, None]))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_squared_distance_at_any_temperature(temperature: float) -> None:
    teacher = torch.tensor([[1.5], [0.0], [0.0]])
    assert STARS.distillation(LOGITS, teacher, ONES, temperature).item() == pytest.approx(2.0)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=20, unique=True))
def test_resolved_targets_are_normalised(answers: list[int]) -> None:
    task = Regression("stars", source="a.csv").resolve(answers)
    encoded = np.array([task.encode(answer)[0] for answer in answers])
    assert encoded.mean() == pytest.approx(0.0, abs=1e-9)
    assert encoded.std() == pytest.approx(1.0)


def test_given_mean_and_scale_are_kept() -> None:
    resolved = STARS.resolve([1.0, 5.0, 9.0])
    assert (resolved.mean, resolved.scale) == (3.0, 2.0)
    zero = Regression("stars", source="a.csv", mean=0.0).resolve([1.0, 3.0])
    assert (zero.mean, zero.scale) == (0.0, 1.0)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 7.0])  # the deviation of equal numbers may be a little above 0
def test_equal_values_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"at least two different values.*\n?.*Is `value` the right column\?"):
        Regression("stars", source="a.csv").resolve([value] * 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale = 0.0\n    must be a positive number"),
        ({"scale": -1.0}, "must be a positive number"),
        ({"scale": math.nan}, "must be a positive number"),
        ({"scale": math.inf}, "must be a positive number"),
        ({"mean": math.nan}, "mean = nan\n    must be a number"),
    ],
)
def test_wrong_normalisations_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Regression("stars", source="a.csv", **options)


@pytest.mark.parametrize("answer", ["4", None, [4.0], math.nan, -math.inf, False])
def test_what_is_no_number_brings_a_complaint(answer: Any) -> None:
    assert STARS.complaint(answer, {})


def test_answers_and_scores_are_in_the_units_of_the_data() -> None:
    answers = Answers(np.array([[0.5], [-1.0], [0.0], [2.0]], dtype=np.float32), np.ones(4, dtype=np.int64))
    assert [answer["value"] for answer in STARS.decode(answers)] == [4.0, 1.0, 3.0, 7.0]
    targets = [np.array([target], dtype=np.float32) for target in (1.0, -1.0, 2.0, 2.0)]
    scores = STARS.score(answers, targets)
    assert scores == metrics.regression(np.array([5.0, 1.0, 7.0, 7.0]), np.array([4.0, 1.0, 3.0, 7.0]))
    assert scores["mae"].value == pytest.approx(5 / 4)


def test_a_task_that_is_not_resolved_cannot_encode() -> None:
    with pytest.raises(ValueError, match="stars is not resolved"):
        Regression("stars", source="a.csv").encode(1.0)


def test_a_pair_of_texts_is_read() -> None:
    assert Regression("likeness", source="a.csv", text=("a", "b")).inputs.columns == ("a", "b")
