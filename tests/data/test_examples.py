from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.synthetic import examples_of, table_of

from motet.data.examples import Chosen, Examples, Flat, counts
from motet.tasks.classification import Classification
from motet.tasks.ranking import Ranking
from motet.tasks.spans import Spans

ALONE = Classification("mood", source="a.csv", text="number", label="number")
TIED = Ranking("order", source="a.csv", query="query", candidate="number", relevance="number")
PASSAGES = Spans("span", source="a.csv", question="", context="number", answers="number")

ROWS = st.lists(st.integers(0, 30), unique=True, max_size=15).map(sorted)


def tied(rows: list[int], seed: int) -> Examples:
    """Rows that belong to examples at random, as if by a query."""
    draws = np.random.default_rng(seed).integers(5, size=len(rows)).tolist()
    first = list(dict.fromkeys(draws))
    return examples_of(TIED, table_of([3] * 31), rows, [first.index(draw) for draw in draws])


@given(ROWS, st.lists(st.integers(0, 30), max_size=12))
def test_rows_are_found_where_they_are(rows: list[int], wanted: list[int]) -> None:
    found = examples_of(ALONE, table_of([3] * 31), rows).find(np.asarray(wanted, dtype=np.int64))
    assert found.tolist() == [rows.index(row) if row in rows else -1 for row in wanted]


@given(ROWS, st.lists(st.integers(0, 30), unique=True, max_size=12), st.integers(0, 5))
def test_rows_count_for_the_examples_they_belong_to(rows: list[int], wanted: list[int], seed: int) -> None:
    asked = np.asarray(wanted, dtype=np.int64)
    assert examples_of(ALONE, table_of([3] * 31), rows).count(asked) == len(set(rows) & set(wanted))
    bundles = tied(rows, seed)
    assert bundles.groups is not None
    assert bundles.count(asked) == len({bundles.groups[rows.index(row)] for row in wanted if row in rows})
    assert bundles.count(bundles.rows) == len(bundles) == len(set(bundles.groups.tolist()))


@given(ROWS, st.integers(0, 12), st.integers(0, 5))
def test_a_draw_keeps_examples_whole(rows: list[int], count: int, seed: int) -> None:
    whole = tied(rows, seed)
    few = whole.take(count, seed)
    assert whole.groups is not None
    assert few.groups is not None
    assert len(few) == min(count, len(whole))
    at = whole.find(few.rows)
    assert (at >= 0).all()
    for group in range(len(few)):
        (original,) = set(whole.groups[at[few.groups == group]].tolist())
        assert few.rows[few.groups == group].tolist() == whole.rows[whole.groups == original].tolist()
    assert [few.target(row).tolist() for row in range(len(few.rows))] == [[10.0 * row] for row in few.rows]
    assert few.groups.tolist() == [list(dict.fromkeys(few.groups.tolist())).index(group) for group in few.groups]


def test_a_draw_is_the_same_every_time_and_may_be_drawn_from() -> None:
    whole = tied(list(range(0, 31, 2)), seed=0)
    assert len(whole) == 5
    rows = whole.take(3, seed=1).rows.tolist()
    assert rows == whole.take(3, seed=1).rows.tolist()
    assert any(rows != whole.take(3, seed=seed).rows.tolist() for seed in range(2, 6))
    again = whole.take(4, seed=1).take(2, seed=1)
    assert len(again) == 2
    assert [again.target(row).tolist() for row in range(len(again.rows))] == [[10.0 * row] for row in again.rows]
    assert whole.take(None, seed=1) is whole.take(5, seed=1) is whole


def test_records_are_those_of_the_first_rows() -> None:
    queries = [f"query {number % 3}" for number in range(7)]
    order = examples_of(TIED, table_of([3] * 7), [1, 2, 4, 6], [0, 1, 0, 2], query=queries)
    assert order.records() == [{"query": f"query {n % 3}", "number": n} for n in (1, 2, 6)]
    alone = examples_of(ALONE, table_of([3] * 7), [1, 4])
    assert alone.records() == [{"number": 1}, {"number": 4}]


def test_windows_have_the_record_and_the_id_of_their_passage() -> None:
    windows = examples_of(PASSAGES, table_of([3] * 6, origin=[0, 0, 1, 3, 3, 3]), [0, 1, 3, 4, 5], [0, 0, 1, 1, 1])
    assert len(windows) == 2
    assert windows.records() == [{"number": 0}, {"number": 3}]
    assert windows.ids == ["train:1", "train:1", "train:4", "train:4", "train:4"]
    assert [windows.id(row) for row in range(5)] == windows.ids


@pytest.mark.parametrize("lengths", [[], [0], [2, 0, 1], [0, 0, 3, 0]])
def test_flat_targets_come_back(lengths: list[int]) -> None:
    targets = [np.arange(length, dtype=np.float32) + 10 * at for at, length in enumerate(lengths)]
    flat = Flat.of(targets)
    assert [flat[row].tolist() for row in range(len(lengths))] == [target.tolist() for target in targets]
    some = Chosen(flat, np.arange(len(lengths))[::-2])
    expected = [target.tolist() for target in targets[::-2]]
    assert [some[row].tolist() for row in range(len(expected))] == expected


def test_counts_are_of_examples_not_rows() -> None:
    order = examples_of(TIED, table_of([3] * 6), range(6), [0, 0, 1, 0, 1, 1])
    assert counts({"mood": examples_of(ALONE, table_of([3] * 6), [0, 5]), "order": order}) == {"mood": 2, "order": 2}
