"""Who labels what, against a count row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.coverage import Coverage, SplitCoverage, coverage
from motet.data.sources import Source, read
from motet.tasks import Classification, MaskedLanguage, Ranking, Tagging, Task

NAMES = ("a", "b", "c")
Rows = list[dict[str, Any]]


def row(text: str | None = "fine", shop: str = "s", **labels: str | None) -> dict[str, Any]:
    return {"text": text, "shop": shop, **dict.fromkeys(NAMES), **labels}


def tasks_of(source: Any, names: Sequence[str] = NAMES) -> list[Task]:
    return [Classification(name, source=source, label=name) for name in names]


def found_in(splits: dict[str, Rows], tasks: Sequence[Task]) -> Coverage:
    """The coverage of one source that all tasks read."""
    table = read(splits)
    (found,) = coverage([replace(task, source=splits) for task in tasks], {task.name: table for task in tasks})
    return found


FULL, ONLY_A, A_AND_B, NONE = row(a="x", b="x", c="x"), row(a="x"), row(a="x", b="x"), row()
ONLY_B = row(b="x")


@pytest.mark.parametrize(
    ("train", "unlabelled", "names", "pattern"),
    [
        ([FULL, FULL], [], NAMES, "full"),
        ([FULL, ONLY_A], [], NAMES, "random"),
        ([ONLY_B, A_AND_B], [], NAMES, "random"),
        ([ONLY_A, ONLY_B], [], NAMES, "one"),
        ([FULL, FULL], [FULL], NAMES, "semi"),
        ([FULL, ONLY_A, NONE], [], NAMES, "semi"),
        ([FULL, ONLY_A], [], ("a",), "disjoint"),
        ([FULL, NONE], [], ("a",), "semi"),
        ([FULL], [NONE], ("a",), "semi"),
        ([FULL, row(text=" ")], [], NAMES, "full"),
        ([FULL, row(text=None, a="x")], [], NAMES, "full"),
    ],
)
def test_patterns(train: Rows, unlabelled: Rows, names: Sequence[str], pattern: str) -> None:
    splits = {"train": train, "validation": [ONLY_A, NONE], **({"unlabelled": unlabelled} if unlabelled else {})}
    assert found_in(splits, tasks_of(None, names)).pattern == pattern


labels = st.sampled_from([None, "x", "y"])
rows = st.builds(row, text=st.sampled_from(["t", "", None]), shop=st.sampled_from("st"), a=labels, b=labels, c=labels)


@given(st.lists(rows, min_size=1, max_size=12), st.lists(rows, min_size=1, max_size=5))
def test_counts_are_those_of_a_loop(train: Rows, test: Rows) -> None:
    tasks = [task if task.name != "c" else replace(task, where={"shop": "s"}) for task in tasks_of(None)]
    found = found_in({"train": train, "validation": [FULL], "test": test}, tasks)
    for split, content in (("train", train), ("test", test)):
        readable = [cells for cells in content if (cells["text"] or "").strip()]  # a and b read every shop
        owned = {name: [cells for cells in readable if cells[name]] for name in NAMES}
        owned["c"] = [cells for cells in owned["c"] if cells["shop"] == "s"]
        carried = [sum(any(cells is other for other in owned[name]) for name in NAMES) for cells in readable]
        assert found.splits[split] == SplitCoverage(
            rows=len(readable),
            labelled={name: len(owned[name]) for name in NAMES},
            carrying=[carried.count(number) for number in range(4)],
        )


def test_rows_that_no_task_asks_about_do_not_count() -> None:
    splits = {"train": [row(shop=shop, a="x") for shop in "sstu"], "validation": [FULL]}
    tasks = [Classification(shop, source=None, label="a", where={"shop": shop}) for shop in "st"]
    found = found_in(splits, tasks)
    assert found.splits["train"] == SplitCoverage(3, {"s": 2, "t": 1}, [0, 3, 0])
    assert found.pattern == "one"


def test_shapes_that_read_other_columns() -> None:
    words = {"tokens": ["in", "Lisbon"], "tags": ["O", "O"]}
    train = [{**row(a="x"), **words}, {**row(text=None), **words, "tags": None}, {**row(), "tokens": [], "tags": []}]
    tasks = [
        *tasks_of(None, ("a",)),
        Tagging("tags", source=None, labels="tags"),
        MaskedLanguage("words", source=None),
    ]
    found = found_in({"train": train, "validation": train}, tasks)
    assert found.splits["train"] == SplitCoverage(3, {"a": 1, "tags": 1, "words": 2}, [1, 1, 0, 1])


def test_a_candidate_without_query_is_not_labelled() -> None:
    train = [{"query": "q", "candidate": "c", "relevance": 1.0, "number": number} for number in (1, None)]
    found = found_in({"train": train, "validation": train}, [Ranking("order", source=None, query_id="number")])
    assert found.splits["train"] == SplitCoverage(2, {"order": 1}, [1, 1])


def test_a_split_without_the_columns_of_a_task() -> None:
    splits = {"train": [FULL], "validation": [FULL], "test": [{"text": "t", "a": "x"}], "unlabelled": [{"text": "t"}]}
    tasks: list[Task] = [
        *tasks_of(None, ("a", "b")),
        Tagging("tags", source=None, tokens="nowhere", labels="tags"),
    ]
    found = found_in(splits, tasks)
    assert found.splits["test"] == SplitCoverage(1, {"a": 1, "b": 0, "tags": 0}, [0, 1, 0, 0])
    assert found.splits["unlabelled"] == SplitCoverage(1, {"a": 0, "b": 0, "tags": 0}, [1, 0, 0, 0])


def test_every_source_is_told_once_in_the_order_of_its_tasks() -> None:
    first, second = ({"train": [FULL, ONLY_A], "validation": [FULL]} for _ in range(2))
    (a, b), (c,) = tasks_of(Source(first), ("a", "b")), tasks_of(second, ("c",))
    tables = {"a": read(first), "b": read(first), "c": read(second)}
    found = coverage([a, c, b], tables)
    assert [(each.tasks, each.pattern) for each in found] == [(("a", "b"), "random"), (("c",), "semi")]
    assert found[0].plain() == {
        "source": "memory",
        "pattern": "random",
        "tasks": ["a", "b"],
        "splits": {
            "train": {"rows": 2, "labelled": {"a": 2, "b": 1}, "carrying": [0, 1, 1]},
            "validation": {"rows": 1, "labelled": {"a": 1, "b": 1}, "carrying": [0, 0, 1]},
        },
    }
