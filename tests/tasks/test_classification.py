"""One label a text: closed forms of both losses, label sets, and what people are told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss
from torch import Tensor

from motet import metrics
from motet.errors import DataError, RecipeError
from motet.tasks.base import Answers
from motet.tasks.classification import IGNORED, Classification, cross_entropy, soft_cross_entropy

COLOURS = Classification("colour", source="a.csv", classes=("red", "green", "blue"))
LOGITS = torch.tensor([[1.0, -0.5, 0.25], [0.0, 2.0, -1.0], [0.5, 0.5, 3.0], [-2.0, 0.1, 0.2]])
TEACHER = torch.tensor([[0.0, 1.5, 0.5], [0.3, 1.0, 1.0], [2.0, -0.5, 0.0], [0.0, 0.0, 0.0]])
TARGET = torch.tensor([0.0, 1.0, 0.0, 2.0])
ONES = np.ones(4, dtype=np.int64)


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, logits)
    return found


def leaf() -> Tensor:
    return LOGITS.clone().requires_grad_()


def test_the_loss_is_the_summed_log_loss() -> None:
    expected = log_loss(TARGET.int().numpy(), softmax(LOGITS.numpy(), axis=1), normalize=False)
    assert COLOURS.loss(LOGITS, TARGET, ONES).item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_of_the_loss_is_chance_minus_truth() -> None:
    logits = leaf()
    expected = LOGITS.softmax(1) - torch.eye(3)[TARGET.long()]
    torch.testing.assert_close(gradient(COLOURS.loss(logits, TARGET, ONES), logits), expected)


def test_smoothing_spreads_its_share_over_all_labels() -> None:
    smooth = Classification("colour", source="a.csv", classes=COLOURS.classes, label_smoothing=0.3)
    mixed = 0.7 * np.eye(3)[TARGET.int().numpy()] + 0.3 / 3
    expected = -(mixed * log_softmax(LOGITS.numpy(), axis=1)).sum()
    assert smooth.loss(LOGITS, TARGET, ONES).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_units_without_label_have_no_part_in_the_loss(smoothing: float) -> None:
    logits, masked = leaf(), TARGET.clone()
    masked[1:3] = IGNORED
    found = gradient(cross_entropy(logits, masked, smoothing), logits)
    assert found[1:3].abs().max() == 0.0
    kept = [0, 3]
    alone = leaf()
    expected = gradient(cross_entropy(alone[kept], TARGET[kept], smoothing), alone)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_batch_without_any_label_costs_nothing(smoothing: float) -> None:
    logits = leaf()
    loss = cross_entropy(logits, torch.full((4,), float(IGNORED)), smoothing)
    assert loss == 0.0
    assert gradient(loss, logits).abs().max() == 0.0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 5.0])
def test_the_gradient_of_distillation_is_student_minus_teacher(temperature: float) -> None:
    logits = leaf()
    p, q = (LOGITS / temperature).softmax(1), (TEACHER / temperature).softmax(1)
    found = gradient(COLOURS.distillation(logits, TEACHER, ONES, temperature), logits)
    torch.testing.assert_close(found, temperature * (p - q))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_distillation_exceeds_the_divergence_by_the_entropy_of_the_teacher(temperature: float) -> None:
    q = softmax(TEACHER.numpy() / temperature, axis=1)
    log_q, log_p = (log_softmax(x.numpy() / temperature, axis=1) for x in (TEACHER, LOGITS))
    divergence, entropy = (q * (log_q - log_p)).sum(), -(q * log_q).sum()
    found = soft_cross_entropy(LOGITS, TEACHER, temperature).item()
    assert found == pytest.approx(temperature**2 * (divergence + entropy), rel=1e-5)


def test_hot_distillation_compares_centred_logits() -> None:
    logits = leaf()
    found = gradient(COLOURS.distillation(logits, TEACHER, ONES, 1000.0), logits)
    difference = LOGITS - TEACHER
    expected = (difference - difference.mean(1, keepdim=True)) / 3
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0.0)


def test_a_teacher_is_never_trained() -> None:
    teacher = TEACHER.clone()
    assert not COLOURS.distillation(LOGITS, teacher, ONES).requires_grad
    assert COLOURS.distillation(leaf(), teacher, ONES).requires_grad


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        (["10", "9", "1", "9"], ("1", "9", "10")),
        ([3, 1, 2], ("1", "2", "3")),
        ([True, False], ("False", "True")),
        ([0.5, -1.0, 10.0], ("-1.0", "0.5", "10.0")),
        (["b", "2", "a", "10"], ("2", "10", "a", "b")),
        (["2", "nan", "1"], ("1", "2", "nan")),
    ],
)
def test_labels_are_sorted_as_people_do(answers: list[Any], classes: tuple[str, ...]) -> None:
    task = Classification("colour", source="a.csv").resolve(answers)
    assert task.classes == classes
    assert task.positive == classes[-1]
    assert task.encode(answers[0]) == (classes.index(str(answers[0])),)


@given(st.permutations(["nan", "1", "2", "inf", "b", "-3", "1.0"]))
def test_the_label_set_does_not_depend_on_the_order_of_the_rows(answers: list[str]) -> None:
    classes = Classification("colour", source="a.csv").resolve(answers).classes
    assert classes == ("-3", "1", "1.0", "2", "inf", "b", "nan")


def test_given_classes_are_kept() -> None:
    task = Classification("colour", source="a.csv", classes=("red", "green", "blue"), positive="red")
    resolved = task.resolve(["green", "red"])
    assert (resolved.classes, resolved.positive) == (("red", "green", "blue"), "red")


def test_a_single_class_is_told_with_its_name() -> None:
    with pytest.raises(DataError, match=r"found only `red`. Is `label` the right column\?"):
        Classification("colour", source="a.csv").resolve(["red"] * 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("a", "b", "a")}, r"classes = a\n.*each label once"),
        ({"classes": ("a",)}, "at least two labels"),
        ({"label_smoothing": 1.0}, "at least 0 and below 1"),
        ({"label_smoothing": -0.1}, "at least 0 and below 1"),
        ({"label_smoothing": math.nan}, "at least 0 and below 1"),
        ({"classes": ("good", "bad"), "positive": "goood"}, "Did you mean `good`"),
    ],
)
def test_wrong_label_sets_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Classification("colour", source="a.csv", **options)


def test_a_positive_label_that_nobody_gave_is_refused() -> None:
    with pytest.raises(RecipeError, match="positive = purple"):
        Classification("colour", source="a.csv", positive="purple").resolve(["red", "green"])


@pytest.mark.parametrize(("text", "columns"), [("body", ("body",)), (("a", "b"), ("a", "b")), (["a", "b"], ("a", "b"))])
def test_one_or_two_columns_are_read(text: Any, columns: tuple[str, ...]) -> None:
    inputs = Classification("pair", source="a.csv", text=text).inputs
    assert inputs.columns == columns
    assert not inputs.words


def test_answers_come_with_a_chance_for_every_label() -> None:
    answers = COLOURS.decode(Answers(LOGITS.numpy(), ONES))
    assert [answer["label"] for answer in answers] == ["red", "green", "blue", "blue"]
    for answer, row in zip(answers, LOGITS.numpy(), strict=True):
        assert tuple(answer["scores"]) == COLOURS.classes
        assert list(answer["scores"].values()) == pytest.approx(softmax(row))


def test_chances_of_huge_logits_are_finite() -> None:
    huge = Answers(np.array([[1e4, -1e4, 0.0]], dtype=np.float32), ONES[:1])
    (answer,) = COLOURS.decode(huge)
    assert answer["scores"] == {"red": 1.0, "green": 0.0, "blue": 0.0}


def test_scores_are_those_of_the_best_label() -> None:
    task = COLOURS.resolve(["red", "green"])
    targets = [np.array([label], dtype=np.float32) for label in TARGET.numpy()]
    scores = task.score(Answers(LOGITS.numpy(), ONES), targets)
    assert scores == metrics.classification(np.array([0, 1, 0, 2]), np.array([0, 1, 2, 2]), classes=3, positive=2)
    assert scores["accuracy"].value == 0.75
