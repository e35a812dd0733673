from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.data.synthetic import SPECIAL, examples_of, table_of

from motet.data.examples import Examples
from motet.data.masking import Hidden, Masking
from motet.data.units import Owner, Row
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage, MaskedLanguage
from motet.tasks.ranking import Ranking
from motet.tasks.tagging import Tagging

MOOD = Classification("mood", source="a.csv", text="number", label="number")
ORDER = Ranking("order", source="a.csv", query="number", candidate="number", relevance="number")
TAGS = Tagging("tags", source="a.csv", tokens="number", labels="number")
REPLY = Generation("reply", source="a.csv", text="number", target="number")
HIDDEN = MaskedLanguage("hidden", source="a.csv", text="number", share=0.5)
NEXT = CausalLanguage("next", source="a.csv", text="number")
MASKING = Masking(mask=2, size=40, special=frozenset(range(SPECIAL)))


def owner(task: Task, examples: Examples | None = None, at: int = 0) -> Owner:
    return Owner(task, at, examples)


def row_of(number: int = 1, owners: dict[str, Owner] | None = None, **columns: Any) -> Row:
    """A row of four sub-words, the second of three rows."""
    return Row(table_of([2, 4, 3], **columns), number, owners or {})


def test_a_row_shows_its_part_of_the_table() -> None:
    row = row_of(types=[[0, 0], [0, 0, 1, 1], [0, 1, 1]])
    assert row.tokens.tolist() == [5, 6, 7, 8]
    assert row.length == 4
    assert row.types is not None
    assert row.types.tolist() == [0, 0, 1, 1]
    assert row_of().types is None


def test_a_text_is_one_unit() -> None:
    row = row_of()
    examples = examples_of(MOOD, row.table, [0, 1, 2])
    units = owner(MOOD, examples, at=1).units(row, None)
    assert (units.count, units.tokens) == (1, None)
    assert units.target is not None
    assert units.target.tolist() == [10.0]


@pytest.mark.parametrize("task", [MOOD, TAGS], ids=["text", "word"])
def test_at_prediction_there_is_no_target(task: Task) -> None:
    assert owner(task).units(row_of(words=[[1], [1, 2], []]), None).target is None


def test_words_that_were_cut_off_are_no_units() -> None:
    row = row_of(words=[[1], [1, 3], []])
    examples = examples_of(TAGS, row.table, [0, 1, 2])
    long = np.asarray([7.0, 8.0, 9.0], dtype=np.float32)
    cut = Examples(TAGS, examples.rows, {1: long, 2: long}, row.table, "train", examples.table)
    units = owner(TAGS, cut, at=1).units(row, None)
    assert units.tokens is not None
    assert units.target is not None
    assert (units.count, units.tokens.tolist(), units.target.tolist()) == (2, [1, 3], [7.0, 8.0])
    none = owner(TAGS, cut, at=2).units(Row(row.table, 2, {}), None)
    assert none.target is not None
    assert (none.count, none.target.tolist()) == (0, [])


def test_a_text_to_be_written_has_its_own_length() -> None:
    row = row_of()
    words = np.asarray([30, 31, 32, 33, 34, 1], dtype=np.int32)
    examples = examples_of(REPLY, row.table, [1])
    examples = Examples(REPLY, examples.rows, [words], row.table, "train", examples.table)
    units = owner(REPLY, examples).units(row, None)
    assert (units.count, units.tokens) == (6, None)
    assert units.target is not None
    assert units.target.tolist() == words.tolist()
    assert owner(REPLY).units(row, None).count == 0, "nothing is known of a text that has yet to be written"


def test_hidden_words_are_the_units() -> None:
    hidden = Hidden(np.asarray([5, 2, 7, 2]), np.asarray([1, 3]))
    units = owner(HIDDEN).units(row_of(), hidden)
    assert units.tokens is not None
    assert units.target is not None
    assert (units.count, units.tokens.tolist(), units.target.tolist()) == (2, [1, 3], [6, 8])
    assert owner(HIDDEN).units(row_of(), None).count == 0


def test_every_word_is_to_foresee_the_next() -> None:
    units = owner(NEXT).units(row_of(), None)
    assert units.tokens is not None
    assert units.target is not None
    assert (units.count, units.tokens.tolist(), units.target.tolist()) == (3, [0, 1, 2], [6, 7, 8])


def test_rows_of_an_example_are_tied() -> None:
    row = row_of()
    order = examples_of(ORDER, row.table, [0, 1, 2], [0, 1, 0])
    mood = examples_of(MOOD, row.table, [0, 1, 2])
    ties = [Row(row.table, n, {"mood": owner(MOOD, mood, n), "order": owner(ORDER, order, n)}).ties for n in range(3)]
    told = [list(of_row) for of_row in ties]
    assert told[0] == told[2] != told[1]
    assert len(told[0]) == len(told[1]) == 1
    assert not list(row_of(owners={"mood": owner(MOOD, mood, 1)}).ties)
    assert not list(row_of(owners={"order": owner(ORDER)}).ties), "at prediction nothing is known of queries"


def test_what_is_hidden_follows_the_salt_and_the_row() -> None:
    table = table_of([40, 40])
    first, second = (Row(table, number, {"hidden": owner(HIDDEN)}) for number in range(2))
    once, again, other = (first.hide(MASKING, salt) for salt in (7, 7, 8))
    assert once is not None
    assert again is not None
    assert other is not None
    assert once.shown.tolist() == again.shown.tolist()
    assert once.places.tolist() == again.places.tolist() != other.places.tolist()
    elsewhere = second.hide(MASKING, 7)
    assert elsewhere is not None
    assert elsewhere.places.tolist() != once.places.tolist()
    assert first.tokens.tolist() == list(range(SPECIAL, SPECIAL + 40)), "the table stays as it is"


def test_only_tasks_that_ask_for_it_hide() -> None:
    assert row_of(owners={"mood": owner(MOOD)}).hide(MASKING, 0) is None
    assert row_of(owners={"mood": owner(MOOD)}).hide(None, 0) is None
    with pytest.raises(ValueError, match="cannot be hidden without a sub-word"):
        row_of(owners={"hidden": owner(HIDDEN)}).hide(None, 0)
