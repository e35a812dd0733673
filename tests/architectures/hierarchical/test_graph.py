from __future__ import annotations

from itertools import pairwise

import pytest

from motet.architectures.hierarchical.graph import TaskGraph
from motet.errors import RecipeError


def test_every_task_stands_behind_those_that_it_reads() -> None:
    feeds = {"d": ("b", "c"), "b": ("a",), "c": ("a",), "z": ("y",)}
    order = TaskGraph(feeds).order
    assert sorted(order) == ["a", "b", "c", "d", "y", "z"]
    assert all(order.index(source) < order.index(name) for name, sources in feeds.items() for source in sources)


def test_only_what_is_read_is_needed() -> None:
    graph = TaskGraph({"d": ("b", "c"), "b": ("a",), "c": ("a",), "z": ("y",)})
    assert graph.needed(["c"]) == ["a", "c"]
    assert graph.needed(["z", "elsewhere", "b"]) == [name for name in graph.order if name in "abyz"]
    assert set(graph.sources) == {"a", "b", "c", "y"}
    assert TaskGraph({}).needed(["a"]) == []


@pytest.mark.parametrize(
    ("feeds", "path"),
    [
        ({"a": ("a",)}, "a -> a"),
        ({"a": ("b",), "b": ("a",)}, "a -> b -> a"),
        ({"x": ("a",), "a": ("c",), "b": ("a", "y"), "c": ("b",)}, "a -> b -> c -> a"),
    ],
)
def test_a_circle_is_told_with_its_path(feeds: dict[str, tuple[str, ...]], path: str) -> None:
    with pytest.raises(RecipeError, match="must not lead back") as error:
        TaskGraph(feeds)
    told = str(error.value).splitlines()[0].removeprefix("feeds = ").split(" -> ")
    steps = set(pairwise(told))
    assert told[0] == told[-1]
    expected = path.split(" -> ")
    assert steps == set(pairwise(expected))


def test_the_nearest_name_is_told() -> None:
    graph = TaskGraph({"intent": ("slts",), "intend": ("slots",)})
    problems = list(graph.strangers(["intent", "slots"], "here"))
    assert [(p.name, p.found) for p in problems] == [("here.intent", "slts"), ("here.intend", "")]
    assert "Did you mean `slots`?" in problems[0].rule
    assert "Did you mean `intent`?" in problems[1].rule


@pytest.mark.parametrize(("sources", "rule"), [((), "at least one task"), (("a", "a"), "each task once")])
def test_edges_are_named_once(sources: tuple[str, ...], rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        TaskGraph({"b": sources})
