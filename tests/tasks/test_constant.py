"""The best answer that ignores the text, against all constant answers there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.shapes import EXAMPLES, Example, clean

from motet.metrics.base import METRICS
from motet.tasks.base import Answers, Scores, Task
from motet.tasks.classification import IGNORED, Classification
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

WITHOUT = {"ranking", "ranking in pairs", "ranking one by one", "generation", "masked_language", "causal_language"}
NAMES = ("a", "b", "c", "d")


def scored(task: Task, values: np.ndarray, targets: Sequence[np.ndarray]) -> Scores:
    """The scores of rows that all get the same answer."""
    lengths = np.asarray([len(target) if task.level == "word" else 1 for target in targets])
    return task.score(Answers(np.broadcast_to(values, (int(lengths.sum()), len(values))), lengths), targets)


def constant_of(task: Task, targets: Sequence[np.ndarray]) -> np.ndarray:
    found = task.constant(iter(targets))
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "example"), EXAMPLES.items(), ids=EXAMPLES)
def test_every_shape_has_one_that_can_be_scored_or_none(name: str, example: Example) -> None:
    task, batch = example.resolved, clean(example)
    found = task.constant(iter(batch.targets))
    assert (found is None) == (name in WITHOUT)
    if found is not None:
        values = np.broadcast_to(found, (int(batch.lengths.sum()), len(found)))
        answers = example.complete(Answers(values, batch.lengths), batch.rows)
        assert len({str(answer) for answer in task.decode(answers)}) <= len(set(batch.lengths.tolist()))
        perfect = task.score(batch.answers(example), batch.truths)
        for metric, score in task.score(answers, batch.truths).items():
            better = METRICS[metric].higher_is_better
            assert score.value <= perfect[metric].value if better else score.value >= perfect[metric].value


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=12)


@given(LABELS)
def test_no_label_for_all_is_right_more_often(labels: list[int]) -> None:
    task = Classification("area", source="a", classes=NAMES, positive="d")
    targets = [np.asarray([label], dtype=np.float32) for label in labels]
    best = max(scored(task, answer, targets)["accuracy"].value for answer in np.eye(4))
    assert scored(task, constant_of(task, targets), targets)["accuracy"].value == best


@given(st.lists(st.lists(st.sampled_from([0, 1, 2, IGNORED]), max_size=4), min_size=1, max_size=6))
def test_no_tag_for_all_words_is_right_more_often(tags: list[list[int]]) -> None:
    task = Tagging("places", source="a", classes=("B-x", "I-x", "O"), outside="O")
    targets = [np.asarray(row, dtype=np.float32) for row in tags]
    best = max(scored(task, answer, targets)["token_accuracy"].value for answer in np.eye(3))
    assert scored(task, constant_of(task, targets), targets)["token_accuracy"].value == best


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_no_set_of_labels_for_all_has_fewer_wrong_decisions(having: list[list[bool]]) -> None:
    task = MultiLabel("feelings", source="a", classes=("a", "b", "c"), threshold=0.9)
    targets = [np.asarray(row, dtype=np.float32) for row in having]
    sets = [np.asarray([9.0 if code >> at & 1 else -9.0 for at in range(3)]) for code in range(8)]
    best = min(scored(task, answer, targets)["hamming_loss"].value for answer in sets)
    assert scored(task, constant_of(task, targets), targets)["hamming_loss"].value == pytest.approx(best)


@given(LABELS)
@pytest.mark.parametrize("metric", ["accuracy", "mae"])
def test_no_step_for_all_is_right_more_often_or_nearer(metric: str, labels: list[int]) -> None:
    task = Ordinal("stars", source="a", classes=NAMES, metric=metric)
    targets = [np.asarray([label], dtype=np.float32) for label in labels]
    steps = [np.where(np.arange(3) < step, 1.0, -1.0) for step in range(4)]
    values = [scored(task, answer, targets)[metric].value for answer in steps]
    best = max(values) if METRICS[metric].higher_is_better else min(values)
    assert scored(task, constant_of(task, targets), targets)[metric].value == pytest.approx(best)


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=8), st.floats(-3, 3))
def test_no_number_for_all_is_nearer_in_the_square(numbers: list[float], other: float) -> None:
    task = Regression("likeness", source="a", mean=2.0, scale=0.5)
    targets = [np.asarray([number], dtype=np.float32) for number in numbers]
    found = scored(task, constant_of(task, targets), targets)
    assert found["rmse"].value <= scored(task, np.asarray([other]), targets)["rmse"].value + 1e-9
    assert found["spearman"].value == 0.0


@pytest.mark.parametrize(
    ("targets", "there"), [([[0, 0, 2, 5], [0, 0, 0, 0]], True), ([[0, 0, 2, 5], [1, 1]], False), ([], False)]
)
def test_no_answer_is_one_only_where_some_question_has_none(targets: Any, there: bool) -> None:
    """The windows of a passage stand one after the other: one with the answer is enough."""
    found = Spans("answer", source="a").constant(np.asarray(row, dtype=np.float32) for row in targets)
    assert (found is not None) is there
