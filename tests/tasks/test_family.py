"""What holds for every task that is registered, whatever its answer shape."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from motet import registry
from motet.errors import DataError, RecipeError
from motet.metrics import METRICS
from motet.tasks import Classification, Regression, Tagging, Task


@dataclass(frozen=True)
class Example:
    """A task, true answers it can learn from, and what it must refuse.

    Args:
        task: as a user writes it, not resolved.
        answers: of the training split.
        wrong: answers to refuse once resolved, with a part of the complaint.
        unlearnable: training answers that `resolve` must refuse.
        row: what else a row holds beside the answer.
    """

    task: Task
    answers: Sequence[Any]
    wrong: Sequence[tuple[Any, str]]
    unlearnable: Sequence[Sequence[Any]]
    row: Callable[[Any], Mapping[str, Any]] = field(default=lambda answer: {})

    @property
    def resolved(self) -> Task:
        return self.task.resolve(self.answers)


EXAMPLES = {
    "classification": Example(
        Classification("area", source="a.csv"),
        answers=["sport", "science", "politics", "sport", "arts"],
        wrong=[("sprot", "Did you mean `sport`?"), (["sport"], "must be one label, found list")],
        unlearnable=[[], ["sport", "sport"]],
    ),
    "regression": Example(
        Regression("likeness", source="a.csv"),
        answers=[0.5, 4, 2.25, 3.0],
        wrong=[("much", "must be a number, found 'much'"), (True, "must be a number"), (math.inf, "must be finite")],
        unlearnable=[[], [3.0, 3.0, 3.0]],
    ),
    "tagging": Example(
        Tagging("entities", source="a.csv"),
        answers=[["O", "B-place", "I-place"], ["B-name"], ["O", "B-name", "O", "B-place"]],
        wrong=[
            (["B-palce"], "Did you mean `B-place`?"),
            ("O", "must be a list of tags, found str"),
        ],
        unlearnable=[[], [["O", "O"], [], [None]]],
        row=lambda answer: {"tokens": ["word"] * len(answer)},
    ),
}
TEMPERATURES = (0.5, 1.0, 3.0)
each = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def targets_of(task: Task, answers: Sequence[Any]) -> list[np.ndarray]:
    """Encoded answers, as they are stored."""
    return [np.asarray(task.encode(answer), dtype=np.float32) for answer in answers]


def lengths_of(targets: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([len(units) for units in targets], dtype=np.int64)


def sure_logits(task: Task, targets: Sequence[np.ndarray]) -> np.ndarray:
    """Logits of a model that is sure of the right answers."""
    flat = np.concatenate(targets)
    if task.outputs == 1:
        return flat[:, None]
    return np.asarray(20.0 * np.eye(task.outputs, dtype=np.float32)[flat.astype(np.int64)])


def batch(example: Example, seed: int = 0) -> tuple[Task, Tensor, Tensor]:
    """A resolved task, random logits and true targets."""
    task = example.resolved
    target = torch.from_numpy(np.concatenate(targets_of(task, example.answers)))
    logits = torch.randn(len(target), task.outputs, generator=torch.Generator().manual_seed(seed))
    return task, logits, target


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf), leaf)
    return found


def slope(loss: Callable[[Tensor], Tensor], logits: Tensor, width: float = 1e-2) -> Tensor:
    """The gradient by central differences."""
    found = torch.zeros_like(logits)
    for at in np.ndindex(*logits.shape):
        step = torch.zeros_like(logits)
        step[at] = width
        found[at] = (loss(logits + step) - loss(logits - step)) / (2 * width)
    return found


def test_every_registered_task_has_an_example() -> None:
    assert sorted(EXAMPLES) == registry.names("task")
    assert all(registry.part_name(example.task) == name for name, example in EXAMPLES.items())


@each
def test_resolving_fills_in_what_the_answers_tell(example: Example) -> None:
    task = example.resolved
    assert task.outputs >= 1
    assert task.answer
    assert task.resolve(example.answers) == task
    assert (task.name, task.source, task.weight) == (example.task.name, example.task.source, example.task.weight)


@each
def test_a_resolved_task_comes_back_from_plain_data(example: Example) -> None:
    task = example.resolved
    plain = json.loads(json.dumps(registry.describe(task)))
    part = registry.find("task", plain.pop("type"))
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    assert part(**fields) == task


@each
def test_metrics_are_known_and_the_first_is_the_headline(example: Example) -> None:
    assert set(example.task.metrics) <= METRICS.keys()
    assert example.task.headline == example.task.metrics[0]
    for metric in example.task.metrics:
        chosen = replace(example.task, metric=metric)
        assert chosen.headline == metric
        assert chosen.higher_is_better == METRICS[metric].higher_is_better


@each
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name = ''"),
        ({"name": "a/b"}, "must be a word without `/`"),
        ({"name": ".hidden"}, "must be a word without `/`"),
        ({"weight": 0.0}, "must be a positive number"),
        ({"weight": math.nan}, "must be a positive number"),
        ({"weight": math.inf}, "must be a positive number"),
        ({"metric": "bleu"}, "is not one of this answer shape"),
    ],
)
def test_wrong_arguments_are_refused(example: Example, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        replace(example.task, **change)


@each
def test_all_wrong_arguments_are_told_at_once(example: Example) -> None:
    misspelt = example.task.metrics[0] + "s"
    with pytest.raises(RecipeError, match=f"Did you mean `{example.task.metrics[0]}`") as caught:
        replace(example.task, name="", weight=-1.0, metric=misspelt)
    assert [problem.name for problem in caught.value.problems] == ["name", "weight", "metric"]


@each
def test_answers_that_teach_nothing_are_refused(example: Example) -> None:
    for answers in example.unlearnable:
        with pytest.raises(DataError, match=f"tasks.{example.task.name}"):
            example.task.resolve(answers)


@each
def test_right_answers_bring_no_complaint(example: Example) -> None:
    for task in (example.task, example.resolved):
        assert [task.complaint(answer, example.row(answer)) for answer in example.answers] == [""] * len(
            example.answers
        )


@each
def test_wrong_answers_bring_a_complaint_that_helps(example: Example) -> None:
    for answer, words in example.wrong:
        row = example.row(answer if isinstance(answer, list) else [])
        assert words in example.resolved.complaint(answer, row)


@each
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_loss_is_its_slope(example: Example, seed: int) -> None:
    task, logits, target = batch(example, seed)

    def loss(x: Tensor) -> Tensor:
        return task.loss(x, target)

    torch.testing.assert_close(gradient(loss, logits), slope(loss, logits), atol=2e-3, rtol=2e-3)


@each
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_gradient_of_distillation_is_its_slope(example: Example, temperature: float) -> None:
    task, logits, _ = batch(example)
    teacher = logits.flip(0) + 0.5

    def loss(x: Tensor) -> Tensor:
        return task.distillation(x, teacher, temperature)

    torch.testing.assert_close(gradient(loss, logits), slope(loss, logits), atol=5e-3, rtol=2e-3)


@each
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_student_that_equals_its_teacher_is_left_alone(example: Example, temperature: float) -> None:
    task, logits, _ = batch(example)
    found = gradient(lambda x: task.distillation(x, logits, temperature), logits)
    torch.testing.assert_close(found, torch.zeros_like(logits), atol=1e-6, rtol=0.0)


@each
def test_the_teacher_gets_no_say_in_where_the_minimum_is(example: Example) -> None:
    task, teacher, _ = batch(example)
    least = task.distillation(teacher, teacher)
    for seed in range(1, 6):
        assert task.distillation(batch(example, seed)[1], teacher) > least


@each
@pytest.mark.parametrize("distilled", [False, True], ids=["true labels", "distilled"])
@pytest.mark.parametrize("cuts", [(0,), (1,), (1, 3), (2, 2)])
def test_losses_add_up_over_any_split_of_the_units(example: Example, distilled: bool, cuts: tuple[int, ...]) -> None:
    task, logits, target = batch(example)
    teacher = logits.flip(0)

    def loss(x: Tensor, begin: int, end: int) -> Tensor:
        here = slice(begin, end)
        return task.distillation(x[here], teacher[here], 2.0) if distilled else task.loss(x[here], target[here])

    def in_parts(x: Tensor) -> Tensor:
        bounds = pairwise([0, *cuts, len(target)])
        return torch.stack([loss(x, begin, end) for begin, end in bounds]).sum()

    def whole(x: Tensor) -> Tensor:
        return loss(x, 0, len(target))

    torch.testing.assert_close(in_parts(logits), whole(logits))
    torch.testing.assert_close(gradient(in_parts, logits), gradient(whole, logits))


@each
def test_no_units_cost_nothing(example: Example) -> None:
    task, logits, target = batch(example)
    assert task.loss(logits[:0], target[:0]) == 0.0
    assert task.distillation(logits[:0], logits[:0]) == 0.0


@each
def test_losses_of_low_precision_are_summed_in_float32(example: Example) -> None:
    task, logits, target = batch(example)
    for loss in (task.loss(logits.bfloat16(), target), task.distillation(logits.bfloat16(), logits.bfloat16())):
        assert loss.dtype == torch.float32
        assert loss.ndim == 0


@each
@pytest.mark.parametrize("distilled", [False, True], ids=["true labels", "distilled"])
def test_huge_logits_stay_finite(example: Example, distilled: bool) -> None:
    task, logits, target = batch(example)

    def loss(x: Tensor) -> Tensor:
        return task.distillation(x, -1e4 * logits) if distilled else task.loss(x, target)

    assert torch.isfinite(loss(1e4 * logits))
    assert torch.isfinite(gradient(loss, 1e4 * logits)).all()


@each
def test_decoding_undoes_encoding(example: Example) -> None:
    task = example.resolved
    targets = targets_of(task, example.answers)
    decoded = task.decode(sure_logits(task, targets), lengths_of(targets))
    found = [next(iter(answer.values())) for answer in decoded]
    if isinstance(task, Regression):
        assert found == pytest.approx([float(answer) for answer in example.answers], abs=1e-5)
    else:
        assert found == example.answers
    assert json.loads(json.dumps(decoded)) == decoded


@each
def test_sure_and_right_answers_score_best(example: Example) -> None:
    task = example.resolved
    targets = targets_of(task, example.answers)
    scores = task.score(sure_logits(task, targets), lengths_of(targets), targets)
    assert tuple(scores) == task.metrics
    for name, score in scores.items():
        best = 1.0 if METRICS[name].higher_is_better else 0.0
        assert score.value == pytest.approx(best, abs=1e-6), name


@each
def test_no_rows_decode_to_nothing_and_score_zero(example: Example) -> None:
    task = example.resolved
    logits, lengths = np.zeros((0, task.outputs), dtype=np.float32), np.zeros(0, dtype=np.int64)
    assert task.decode(logits, lengths) == []
    scores = task.score(logits, lengths, [])
    assert tuple(scores) == task.metrics
    assert all(score.value == 0.0 and math.isnan(score.se) for score in scores.values())
