"""A tag a word: cut sentences, words without tag, entities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from motet import metrics
from motet.errors import DataError, RecipeError
from motet.tasks.base import Answers
from motet.tasks.classification import IGNORED
from motet.tasks.tagging import Tagging

TAGS = ("B-name", "I-name", "O")
NAMES = Tagging("names", source="a.csv", classes=TAGS, outside="O")


def sure(*tags: int) -> np.ndarray:
    """Logits that are sure of these tags."""
    return np.asarray(20.0 * np.eye(3, dtype=np.float32)[list(tags)])


def stored(*rows: list[int]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.float32) for row in rows]


def test_words_are_read() -> None:
    inputs = Tagging("names", source="a.csv", tokens="words").inputs
    assert inputs.columns == ("words",)
    assert inputs.words


def test_labels_are_collected_and_null_is_none_of_them() -> None:
    task = Tagging("names", source="a.csv").resolve([["O", None], [], ["B-x", "I-x"]])
    assert task.classes == ("B-x", "I-x", "O")
    assert task.outside == "O"


def test_without_an_o_the_first_label_is_outside() -> None:
    assert Tagging("parts", source="a.csv").resolve([["verb", "noun"]]).outside == "noun"
    assert Tagging("parts", source="a.csv", outside="verb").resolve([["verb", "noun"]]).outside == "verb"


def test_a_single_tag_is_refused_with_its_name() -> None:
    with pytest.raises(DataError, match=r"found \['O'\]. Is `labels` the right column\?"):
        Tagging("names", source="a.csv").resolve([["O", "O"], [None]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("O", "O")}, "each label once"),
        ({"label_smoothing": 1.5}, "at least 0 and below 1"),
        ({"classes": TAGS, "outside": "0"}, "outside = 0\n    is not one of the labels. There are: B-name, I-name, O"),
    ],
)
def test_wrong_label_sets_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Tagging("names", source="a.csv", **options)


@pytest.mark.parametrize(
    ("answer", "words", "message"),
    [
        (["O", None], ["a", "b"], ""),
        ([], [], ""),
        ([], None, ""),
        (["O"], ["a", "b"], "must have one tag a word, found 1 tags for 2 words"),
        (["O"], None, "found 1 tags for 0 words"),
        ("O", ["a"], "must be a list of tags, found str"),
        (["O", "I-nam"], ["a", "b"], "`I-nam` is not in the label set. Did you mean `I-name`?"),
    ],
)
def test_complaints_name_what_is_wrong(answer: Any, words: list[str] | None, message: str) -> None:
    found = NAMES.complaint(answer, {"tokens": words})
    assert message in found
    assert bool(found) == bool(message)


def test_a_word_without_tag_is_ignored() -> None:
    assert list(NAMES.encode(["O", None, "B-name"])) == [2, IGNORED, 0]


def test_a_word_without_tag_teaches_nothing() -> None:
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([2.0, IGNORED, 0.0])
    (found,) = torch.autograd.grad(NAMES.loss(logits, target, np.array([1, 2])), logits)
    expected = logits.detach().softmax(1) - torch.eye(3)[[2, 0, 0]]
    expected[1] = 0.0
    torch.testing.assert_close(found, expected)


def test_words_without_tag_do_not_count() -> None:
    scores = NAMES.score(Answers(sure(0, 1, 1, 2), np.array([4])), stored([0, IGNORED, 1, 2]))
    assert scores["token_accuracy"].value == 1.0
    assert scores["span_f1"].value == 1.0


def test_words_without_tag_are_no_part_of_the_mean() -> None:
    target, lengths = torch.tensor([2.0, IGNORED, 0.0]), np.array([1, 2])
    assert NAMES.labelled(target, lengths) == 2
    assert NAMES.answered(lengths) == 3, "the teacher has an answer for each"


def test_a_target_is_cut_as_its_sentence_was() -> None:
    (target,) = stored([0, 1, 2])
    assert [NAMES.fit(target, units).tolist() for units in (0, 2, 3)] == [[], [0, 1], [0, 1, 2]]


def test_tags_are_given_row_by_row() -> None:
    decoded = NAMES.decode(Answers(sure(0, 1, 2, 2), np.array([2, 0, 1, 1])))
    assert [answer["tags"] for answer in decoded] == [["B-name", "I-name"], [], ["O"], ["O"]]


def test_words_cut_off_are_answered_with_outside() -> None:
    targets = stored([0, 1, 2, 0], [2, 0])
    scores = NAMES.score(Answers(sure(0, 1, 2, 0), np.array([2, 2])), targets)
    guess = [np.array([0, 1, 2, 2]), np.array([2, 0])]
    assert scores == metrics.tagging([row.astype(np.int64) for row in targets], guess, TAGS, IGNORED)
    assert scores["token_accuracy"].value == pytest.approx(5 / 6)
    assert scores["span_f1"].value == pytest.approx(2 * 2 / (3 + 2))


def test_sentences_cut_to_nothing_are_scored_too() -> None:
    scores = NAMES.score(Answers(sure(), np.array([0, 0])), stored([2, 0], [2, 2]))
    assert scores["token_accuracy"].value == pytest.approx(3 / 4)
    assert scores["span_f1"].value == 0.0
