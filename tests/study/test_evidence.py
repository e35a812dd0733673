"""What is left of single rows gives the score of every metric of every shape again, also when rows are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.shapes import EXAMPLES, Example, batch_of

from motet.metrics.tagging import tagging
from motet.study.evidence import evidence_of, resampled_alike
from motet.study.formulas import Evidence
from motet.tasks.base import Answers
from motet.tasks.ranking import Ranking
from motet.tasks.tagging import Tagging

CASES = [(shape, metric) for shape, example in EXAMPLES.items() for metric in example.task.metrics]
each = pytest.mark.parametrize(("shape", "metric"), CASES, ids=[f"{shape} {metric}" for shape, metric in CASES])


def about(shape: str, metric: str) -> Example:
    example = EXAMPLES[shape]
    return replace(example, task=replace(example.task, metric=metric))


@each
@pytest.mark.parametrize("seed", [0, 1])
def test_the_score_comes_again(shape: str, metric: str, seed: int) -> None:
    example = about(shape, metric)
    batch = batch_of(example, seed, rows=40)
    answers = batch.answers(example)
    score = batch.task.score(answers, batch.truths)[metric].value
    evidence = evidence_of(batch.task, answers, batch.truths)
    assert resampled_alike(evidence, score)
    assert not resampled_alike(evidence, score + 0.01)
    assert len(evidence) == len(answers.examples)


def drawn(answers: Answers, targets: Sequence[np.ndarray], examples: np.ndarray) -> tuple[Answers, list[np.ndarray]]:
    """The answers to some examples, in their order; one may come several times."""
    rows = [answers.examples[example] for example in examples]
    places = np.concatenate(rows)
    groups = np.repeat(np.arange(len(rows)), [len(of) for of in rows])
    new = Answers(
        np.concatenate([answers.values[:0], *(answers.rows[row] for row in places)]),
        answers.lengths[places],
        None if answers.groups is None else groups,
        [answers.records[example] for example in examples] if len(answers.records) else (),
        [answers.chars[row] for row in places] if len(answers.chars) else (),
        [answers.texts[row] for row in places] if len(answers.texts) else (),
    )
    return new, [targets[row] for row in places]


@each
def test_a_weight_is_how_often_an_example_is_drawn(shape: str, metric: str) -> None:
    example = about(shape, metric)
    batch = batch_of(example, 3, rows=24)
    answers = batch.answers(example)
    evidence = evidence_of(batch.task, answers, batch.truths)
    random = np.random.default_rng(0)
    chosen = [random.integers(24, size=24) for _ in range(3)]
    weights = np.stack([np.bincount(examples, minlength=24) for examples in chosen]).astype(float)
    wanted = [batch.task.score(*drawn(answers, batch.truths, examples))[metric].value for examples in chosen]
    assert evidence.scores(weights) == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", EXAMPLES)
def test_answers_that_are_not_finite_are_not_drawn_again(shape: str) -> None:
    batch = batch_of(EXAMPLES[shape])
    answers = batch.answers(EXAMPLES[shape])
    ruined = replace(answers, values=np.full(answers.values.shape, np.nan))
    assert not resampled_alike(evidence_of(batch.task, ruined, batch.truths), float("nan"))


@pytest.mark.parametrize("metric", Ranking.metrics)
def test_grades_below_the_one_that_counts_do_not(metric: str) -> None:
    task = Ranking("order", source="rows", highest=2.0, relevant=2.0, metric=metric)
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 4)
    targets = [np.asarray([grade / 2], dtype=np.float32) for grade in random.integers(3, size=48)]
    targets[:4] = [np.asarray([0.5], dtype=np.float32)] * 4  # a query in which nothing is relevant but to `ndcg`
    answers = Answers(random.normal(size=(48, 1)), np.ones(48, dtype=int), groups)
    evidence = evidence_of(task, answers, targets)
    assert resampled_alike(evidence, task.score(answers, targets)[metric].value)


TAGS = ("O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "B", "I", "NOUN", "VERB")
SENTENCE = st.lists(st.sampled_from(range(len(TAGS))), min_size=1, max_size=8)
SENTENCES = st.lists(SENTENCE.flatmap(lambda s: st.tuples(st.just(s), st.lists(
    st.sampled_from(range(len(TAGS))), min_size=len(s), max_size=len(s)))), min_size=1, max_size=4)  # fmt: skip


@given(SENTENCES)
def test_malformed_tags_are_read_as_the_metric_reads_them(sentences: list[tuple[list[int], list[int]]]) -> None:
    task = Tagging("t", source="a.csv", classes=TAGS, outside="O")
    truths = [np.array(truth, dtype=np.float32) for truth, _ in sentences]
    guesses = [np.array(guess) for _, guess in sentences]
    values = np.concatenate([np.eye(len(TAGS))[guess] for guess in guesses])
    answers = Answers(values, np.array([len(guess) for guess in guesses]))
    wanted = tagging([truth.astype(np.int64) for truth in truths], guesses, TAGS, ignored=-100)["span_f1"].value
    found = evidence_of(task, answers, truths).scores(np.ones((1, len(sentences))))[0]
    assert found == pytest.approx(wanted)


def test_no_formula_is_no_evidence() -> None:
    assert not resampled_alike(Evidence.of("", []), 0.5)
    assert not resampled_alike(Evidence.of("mean", []), 0.0)
