"""Answers as inputs: their forms, vectors of labels, and what merges them with states."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.architectures.toys import owned

from motet.architectures.heads import Head
from motet.architectures.hierarchical.answering import Answering, unreadable
from motet.architectures.hierarchical.exchange import Labels, Merge, Reader, over_text
from motet.tasks.base import Task
from motet.tasks.classification import IGNORED, Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage, MaskedLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

CHOICE = Classification("choice", source="s", classes=("a", "b"))
TOPICS = MultiLabel("topics", source="s", classes=("a", "b", "c"))
STARS = Ordinal("stars", source="s", classes=("1", "2", "3"))
NUMBER = Regression("number", source="s", mean=0.0, scale=1.0)
TAGS = Tagging("tags", source="s", classes=("O", "B"), outside="O")
CRF = Tagging("tags", source="s", classes=("O", "B"), outside="O", crf=True)
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def test_chances() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])
    assert Answering.of(CHOICE).chances(logits).tolist() == [[pytest.approx(0.25), pytest.approx(0.75)]]
    assert Answering.of(TAGS).chances(logits).tolist() == [[pytest.approx(0.25), pytest.approx(0.75)]]
    assert Answering.of(TOPICS).chances(logits).tolist() == [[0.5, pytest.approx(0.75)]]
    assert Answering.of(STARS).chances(logits).tolist() == [[0.5, pytest.approx(0.75)]]
    assert Answering.of(NUMBER).chances(logits).tolist() == logits.tolist()


def test_true_answers_have_the_form_of_chances() -> None:
    cases: list[tuple[Task, list[Any], list[list[float]]]] = [
        (CHOICE, ["b", "a"], [[0, 1], [1, 0]]),
        (TOPICS, [["c", "a"], []], [[1, 0, 1], [0, 0, 0]]),
        (STARS, ["1", "2", "3"], [[0, 0], [1, 0], [1, 1]]),
        (NUMBER, [2.5], [[2.5]]),
    ]
    for task, answers, expected in cases:
        target = torch.tensor([number for answer in answers for number in task.encode(answer)])
        values, known = Answering.of(task).truth(target)
        assert values.tolist() == expected
        assert known.tolist() == [True] * len(expected)
    values, known = Answering.of(TAGS).truth(torch.tensor([1.0, IGNORED, 0.0]))
    assert known.tolist() == [True, False, True]
    assert values[known].tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("task", [TAGS, CRF])
def test_a_head_of_words_answers_every_sub_word(task: Tagging) -> None:
    head = Head("word", 4, 2, pooling="mean", dropout=0.0, learnt=task.learnt)
    states = torch.randn(2, 3, 4)
    found = Answering.of(task).everywhere(head, states, MASK)
    torch.testing.assert_close(found, head.linear(states).softmax(dim=-1))


def test_a_head_of_texts_answers_every_text() -> None:
    head = Head("text", 4, 2, pooling="mean", dropout=0.0)
    states = torch.randn(2, 3, 4)
    found = Answering.of(CHOICE).everywhere(head, states, MASK)
    expected = head(states, MASK, owned(0, 1)).softmax(dim=-1)
    torch.testing.assert_close(found, expected.unsqueeze(1))


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (Ranking("a", source="s"), "the order of the candidates"),
        (Spans("a", source="s"), "the places of one passage"),
        (MaskedLanguage("a", source="s"), "words"),
        (CausalLanguage("a", source="s"), "words"),
        (Generation("a", source="s"), "words"),
    ],
)
def test_what_cannot_be_read(task: Task, why: str) -> None:
    assert why in unreadable(task)
    with pytest.raises(TypeError, match=why):
        Answering.of(task)


def test_a_vector_of_labels_is_their_mean_by_chances() -> None:
    labels = Labels(2, 3)
    with torch.no_grad():
        labels.vectors.copy_(torch.tensor([[1.0, 2, 3], [5, 6, 7]]))
    assert labels(torch.tensor([[[0.25, 0.75]]])).tolist() == [[[4, 5, 6]]]


def test_the_mean_over_a_text_leaves_padding_out() -> None:
    vectors = torch.tensor([[[1.0], [2], [6]], [[1.0], [2], [99]]])
    assert over_text(vectors, MASK).tolist() == [[[3]], [[1.5]]]
    assert over_text(vectors[:, :1], MASK).tolist() == vectors[:, :1].tolist()


def test_a_merge_begins_by_changing_nothing_and_adds_a_layer_of_all() -> None:
    merge, states, text = Merge(4, 5), torch.randn(2, 3, 4), torch.randn(2, 1, 2)
    words = torch.randn(2, 3, 3)
    assert torch.equal(merge(states, text, words), states)
    torch.nn.init.normal_(merge.outer.weight)
    found = merge(states, text, words)
    for row in range(2):
        for token in range(3):
            hidden = merge.inner(torch.cat([states[row, token], text[row, 0], words[row, token]]))
            hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
            torch.testing.assert_close(found[row, token], states[row, token] + merge.outer.weight @ hidden)


def test_a_reader_about_texts_reads_means_and_one_about_words_reads_each() -> None:
    said = {"tags": torch.randn(2, 3, 2).softmax(dim=-1)}
    states = torch.randn(2, 3, 4)
    for words in (True, False):
        labels = Labels(2, 5)
        reader = Reader(4, {"tags": labels}, 5, words=words)
        torch.nn.init.normal_(reader.merge.outer.weight)
        vectors = said["tags"] @ labels.vectors
        read = vectors if words else over_text(vectors, MASK)
        assert torch.equal(reader(states, said, MASK), reader.merge(states, read))
