"""Ranks within queries, while rows come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import RunError
from motet.serving import ranks as module
from motet.serving.ranks import Ranks
from motet.tasks import Classification, Ranking

TASKS = {
    "order": Ranking("order", source="s", query_id="number"),
    "other": Ranking("other", source="s", query="text", candidate="reply"),
    "mood": Classification("mood", source="s", classes=("no", "yes")),
}


def taken(rows: list[tuple[Any, dict[str, Any]]], ranks: Ranks | None = None) -> list[dict[str, Any]]:
    """What comes out for some values and the answers to them."""
    ranks = ranks or Ranks(TASKS)
    return [out for row, (value, answer) in enumerate(rows, 1) for out in ranks.take(row, value, answer)] + ranks.rest()


def scored(score: float) -> dict[str, Any]:
    return {"order": {"score": score}}


@given(st.lists(st.lists(st.floats(-5, 5), min_size=1, max_size=6), max_size=6))
def test_ranks_are_those_of_a_sort(groups: list[list[float]]) -> None:
    rows = [({"number": at}, scored(score)) for at, group in enumerate(groups) for score in group]
    found = taken(rows)
    assert [answer["order"]["score"] for answer in found] == [score for group in groups for score in group]
    expected = []
    for group in groups:
        order = sorted(range(len(group)), key=lambda at: -group[at])  # ties keep their order
        expected += [order.index(at) + 1 for at in range(len(group))]
    assert [answer["order"]["rank"] for answer in found] == expected


def test_no_more_is_held_than_one_query() -> None:
    ranks = Ranks(TASKS)
    assert ranks.take(1, "fine", {"mood": {}}) == [{"mood": {}}]
    assert ranks.take(2, {"number": 1}, scored(0.1)) == []
    assert ranks.take(3, {"number": 1}, scored(0.9)) == []
    first = ranks.take(4, {"number": 2}, scored(0.5))
    assert [answer["order"]["rank"] for answer in first] == [2, 1]
    rest = ranks.take(5, "fine", {"mood": {}})
    assert [list(answer) for answer in rest] == [["order"], ["mood"]]
    assert ranks.rest() == []


def test_two_tasks_with_queries_of_their_own() -> None:
    def row(number: int, text: str, score: float) -> tuple[Any, dict[str, Any]]:
        return {"number": number, "query": "q", "text": text}, {"order": {"score": score}, "other": {"score": score}}

    found = taken([row(1, "a", 0.1), row(1, "b", 0.3), row(2, "b", 0.2)])
    assert [(answer["order"]["rank"], answer["other"]["rank"]) for answer in found] == [(2, 1), (1, 1), (1, 2)]


def test_a_query_is_its_text_where_it_has_no_id() -> None:
    values: list[Any] = [{"query": "a"}, {"query": "a", "number": None}, ["b", "x"], ("b", "y"), {"number": "c"}]
    found = taken([(value, scored(0.1 * at)) for at, value in enumerate(values)])
    assert [answer["order"]["rank"] for answer in found] == [2, 1, 2, 1, 1]


def test_a_query_that_comes_again() -> None:
    rows = [({"number": 1}, scored(0.1)), ({"number": 2}, scored(0.1)), ({"number": 1}, scored(0.1))]
    with pytest.raises(RunError, match="row 3: the query `1` comes again after another"):
        taken(rows)


def test_only_so_many_queries_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    ranks = Ranks(TASKS)
    taken([({"number": number}, scored(0.0)) for number in range(20)], ranks)
    assert len(ranks._ended) == 3
    assert taken([({"number": 0}, scored(0.0))], ranks)
    with pytest.raises(RunError, match="comes again"):
        taken([({"number": 19}, scored(0.0))], ranks)
