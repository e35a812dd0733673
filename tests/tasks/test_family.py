"""What holds for every task that is registered, whatever its answer shape."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.shapes import EXAMPLES, Batch, Example, batch_of, clean
from torch import Tensor

from motet import registry
from motet.errors import DataError, RecipeError
from motet.metrics import METRICS
from motet.tasks.base import Answers

TEMPERATURES = (0.5, 1.0, 2.0)
each = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
each_that_answers = pytest.mark.parametrize(
    "example", [pytest.param(e, id=name) for name, e in EXAMPLES.items() if e.task.answers_texts]
)
each_with_gaps = pytest.mark.parametrize(
    "example", [pytest.param(e, id=name) for name, e in EXAMPLES.items() if e.ignored is not None]
)
LOSSES = (Batch.loss, Batch.distillation)
both_losses = pytest.mark.parametrize("loss", LOSSES, ids=["true labels", "distilled"])


def gradient(loss: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    leaf = batch.logits.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(replace(batch, logits=leaf)), leaf)
    return found


def slope(loss: Callable[[Batch], Tensor], batch: Batch, width: float = 1e-2) -> Tensor:
    """The gradient by central differences."""
    found = torch.zeros_like(batch.logits)
    for at in np.ndindex(*batch.logits.shape):
        step = torch.zeros_like(batch.logits)
        step[at] = width
        above, below = (loss(replace(batch, logits=batch.logits + sign * step)) for sign in (1, -1))
        found[at] = (above - below) / (2 * width)
    return found


def rounded(value: Any) -> Any:
    """Plain data with its numbers rounded, so that it can be compared."""
    return json.loads(json.dumps(value), parse_float=lambda number: round(float(number), 4))


def test_every_registered_task_has_an_example() -> None:
    assert {registry.part_name(example.task) for example in EXAMPLES.values()} == set(registry.names("task"))
    assert all(registry.part_name(example.task) == name.split()[0] for name, example in EXAMPLES.items())


@each
def test_resolving_fills_in_what_the_answers_tell(example: Example) -> None:
    task = example.resolved
    assert example.width >= 1
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
        ({"metric": "loudness"}, "is not one of this answer shape"),
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
    batch = batch_of(example, seed)
    torch.testing.assert_close(gradient(Batch.loss, batch), slope(Batch.loss, batch), atol=2e-3, rtol=2e-3)


@each
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_gradient_of_distillation_is_its_slope(example: Example, temperature: float) -> None:
    batch = batch_of(example)

    def loss(batch: Batch) -> Tensor:
        return batch.distillation(temperature)

    torch.testing.assert_close(gradient(loss, batch), slope(loss, batch), atol=5e-3, rtol=2e-3)


@each
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_student_that_equals_its_teacher_is_left_alone(example: Example, temperature: float) -> None:
    batch = batch_of(example)
    found = gradient(lambda batch: batch.distillation(temperature), replace(batch, teacher=batch.logits))
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-6, rtol=0.0)


@each
def test_the_teacher_gets_no_say_in_where_the_minimum_is(example: Example) -> None:
    batch = batch_of(example)
    least = replace(batch, logits=batch.teacher).distillation()
    for seed in range(1, 6):
        noise = torch.randn(batch.logits.shape, generator=torch.Generator().manual_seed(seed))
        assert replace(batch, logits=batch.teacher + noise).distillation() > least


@each
@both_losses
@pytest.mark.parametrize("cuts", [(0,), (1,), (1, 3), (2, 2, 5)])
def test_losses_add_up_over_any_split_of_the_rows(
    example: Example, loss: Callable[[Batch], Tensor], cuts: tuple[int, ...]
) -> None:
    batch = batch_of(example)
    bounds = list(pairwise([0, *cuts, len(batch.lengths)]))

    def in_parts(batch: Batch) -> Tensor:
        return torch.stack([loss(batch.take(range(begin, end))) for begin, end in bounds]).sum()

    torch.testing.assert_close(in_parts(batch), loss(batch))
    torch.testing.assert_close(gradient(in_parts, batch), gradient(loss, batch))


@each
@pytest.mark.parametrize("cut", [0, 1, 4])
def test_the_answers_in_the_losses_add_up_too(example: Example, cut: int) -> None:
    batch = batch_of(example)
    parts = [batch.take(range(cut)), batch.take(range(cut, len(batch.lengths)))]
    for part in parts:
        assert part.task.answered(part.lengths) >= 0
        assert part.task.labelled(part.target, part.lengths) >= 0
    task = batch.task
    assert sum(task.answered(part.lengths) for part in parts) == task.answered(batch.lengths)
    assert sum(task.labelled(part.target, part.lengths) for part in parts) == task.labelled(batch.target, batch.lengths)


@each
def test_every_unit_has_its_soft_label(example: Example) -> None:
    batch = batch_of(example)
    soft = batch.task.soft(batch.teacher, batch.lengths)
    assert soft.shape == (batch.lengths.sum(), batch.task.soft_width(example.width))


@each
@pytest.mark.parametrize("seed", range(3))
def test_nothing_depends_on_the_order_of_the_rows(example: Example, seed: int) -> None:
    batch = batch_of(example, seed)
    order = np.random.default_rng(seed).permutation(len(batch.lengths)).tolist()
    moved = batch.take(order)
    for loss in LOSSES:
        torch.testing.assert_close(loss(moved), loss(batch))
        expected = replace(batch, logits=gradient(loss, batch)).take(order).logits
        torch.testing.assert_close(gradient(loss, moved), expected)
    before, after = (batch.task.score(b.answers(example), b.truths) for b in (batch, moved))
    assert {name: score.value for name, score in after.items()} == pytest.approx(
        {name: score.value for name, score in before.items()}
    )


@each_that_answers
def test_answers_follow_their_rows(example: Example) -> None:
    batch = batch_of(example)
    order = np.random.default_rng(0).permutation(len(batch.lengths)).tolist()
    before, after = (rounded(batch.task.decode(b.answers(example))) for b in (batch, batch.take(order)))
    assert after == [before[row] for row in order]


@each_with_gaps
def test_what_is_not_labelled_teaches_nothing(example: Example) -> None:
    assert example.ignored is not None
    whole, random = batch_of(example), np.random.default_rng(1)
    targets = [np.where(random.random(len(target)) < 0.3, example.ignored, target) for target in whole.targets]
    for row in (1, 4):
        targets[row] = np.full(len(targets[row]), example.ignored)
    batch = replace(whole, targets=targets)
    without = [0, 2, 3, 5]
    assert batch.lengths[[1, 4]].all()
    found = gradient(Batch.loss, batch)
    assert found.any()
    assert not replace(batch, logits=found).take([1, 4]).logits.any()
    expected = gradient(Batch.loss, batch.take(without))
    torch.testing.assert_close(replace(batch, logits=found).take(without).logits, expected)
    left = batch.take(without)
    assert batch.task.labelled(batch.target, batch.lengths) == batch.task.labelled(left.target, left.lengths)
    assert batch.task.labelled(batch.target, batch.lengths) < batch.task.labelled(whole.target, whole.lengths)


@each
def test_no_rows_cost_nothing(example: Example) -> None:
    none = batch_of(example).take([])
    assert none.loss() == 0.0
    assert none.distillation() == 0.0
    assert none.task.labelled(none.target, none.lengths) == none.task.answered(none.lengths) == 0


@each
@both_losses
def test_losses_of_low_precision_are_summed_in_float32(example: Example, loss: Callable[[Batch], Tensor]) -> None:
    batch = batch_of(example)
    found = loss(replace(batch, logits=batch.logits.bfloat16(), teacher=batch.teacher.bfloat16()))
    assert found.dtype == torch.float32
    assert found.ndim == 0


@each
@both_losses
def test_huge_logits_stay_finite(example: Example, loss: Callable[[Batch], Tensor]) -> None:
    batch = batch_of(example)
    huge = replace(batch, logits=1e4 * batch.logits, teacher=-1e4 * batch.logits)
    assert torch.isfinite(loss(huge))
    assert torch.isfinite(gradient(loss, huge)).all()


@each_that_answers
def test_decoding_undoes_encoding(example: Example) -> None:
    batch = clean(example)
    decoded = batch.task.decode(batch.answers(example))
    assert rounded([example.said(answer) for answer in decoded]) == rounded(example.answers)
    assert json.loads(json.dumps(decoded)) == decoded


@each
def test_sure_and_right_answers_score_best(example: Example) -> None:
    batch = clean(example)
    scores = batch.task.score(batch.answers(example), batch.truths)
    assert set(scores) == set(batch.task.metrics)
    for name, score in scores.items():
        best = example.best.get(name, 1.0 if METRICS[name].higher_is_better else 0.0)
        assert score.value == pytest.approx(best, abs=1e-6), name


@each
def test_no_rows_have_no_answers_and_score_zero(example: Example) -> None:
    none = batch_of(example).take([])
    answers = none.answers(example)
    if none.task.answers_texts:
        assert none.task.decode(answers) == []
    else:
        with pytest.raises(TypeError, match="answers no question"):
            none.task.decode(answers)
    scores = none.task.score(answers, [])
    assert set(scores) == set(none.task.metrics)
    assert all(score.value == 0.0 and math.isnan(score.se) for score in scores.values())


@each
def test_only_tasks_that_read_windows_have_targets_for_them(example: Example) -> None:
    task = example.resolved
    if task.inputs.stride is None:
        with pytest.raises(TypeError, match=f"{type(task).__name__} reads no windows"):
            task.align(np.zeros(1), [np.zeros(2)])
    else:
        assert task.align(np.asarray(task.encode(example.answers[0])), []) == []


@each
def test_every_column_is_named_once(example: Example) -> None:
    task = example.task
    assert set(task.inputs.columns) | {task.target} <= set(task.columns)
    assert set(task.columns) - {task.group} <= set(task.inputs.columns) | {task.target}
    assert len(set(task.columns)) == len(task.columns)
    assert "" not in task.columns


def test_answers_are_split_by_row_and_by_example() -> None:
    values = np.arange(8.0).reshape(4, 2)
    answers = Answers(values, np.array([1, 0, 2, 1]), groups=np.array([0, 0, 1, 2]))
    assert [row.tolist() for row in answers.rows] == [[[0, 1]], [], [[2, 3], [4, 5]], [[6, 7]]]
    assert [rows.tolist() for rows in answers.examples] == [[0, 1], [2], [3]]
    assert [rows.tolist() for rows in replace(answers, groups=None).examples] == [[0], [1], [2], [3]]


@pytest.mark.parametrize("groups", [None, np.zeros(0, dtype=np.int64)])
def test_no_answers_have_no_rows_and_no_examples(groups: np.ndarray | None) -> None:
    answers = Answers(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), groups)
    assert answers.rows == []
    assert answers.examples == []
