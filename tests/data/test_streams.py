from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.corpus import load_corpus
from motet.data.streams import Stream, streams_of
from motet.encoders import Encoder, load_tokenizer
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.ranking import Ranking
from motet.tasks.spans import Spans


def stream(rows: int, window: int, seed: int = 0) -> Stream:
    lengths = np.random.default_rng(3).integers(2, 60, rows)
    return Stream(("a",), np.arange(rows) * 10, lengths, seed=seed, window=window)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 7), st.integers(0, 5))
def test_every_row_once_an_epoch(rows: int, window: int, count: int, seed: int) -> None:
    whole = math.lcm(rows, window)  # here a window ends with an epoch
    drawn = stream(rows, window, seed)
    seen: Counter[int] = Counter()
    left = whole
    while left:
        part = drawn.draw(min(count, left))
        seen.update(part.tolist())
        left -= len(part)
    assert seen == dict.fromkeys(range(0, 10 * rows, 10), whole // rows)


def test_a_window_holds_the_rows_of_one_epoch_in_another_order_each_time() -> None:
    drawn = stream(40, 40)
    first, second = drawn.draw(40).tolist(), drawn.draw(40).tolist()
    assert sorted(first) == sorted(second) == list(range(0, 400, 10))
    assert stream(40, 8).draw(40).tolist() != stream(40, 8, seed=1).draw(40).tolist()


@given(st.integers(2, 40), st.integers(1, 16), st.lists(st.integers(0, 9), max_size=6))
def test_a_restored_stream_goes_on_exactly(rows: int, window: int, before: list[int]) -> None:
    drawn = stream(rows, window)
    for count in before:
        drawn.draw(count)
    saved = json.loads(json.dumps(drawn.state()))
    expected = [drawn.draw(5).tolist() for _ in range(8)]
    fresh = stream(rows, window)
    fresh.draw(3)  # whatever it did before is forgotten
    fresh.restore(saved)
    assert [fresh.draw(5).tolist() for _ in range(8)] == expected
    drawn.restore(saved)
    assert [drawn.draw(5).tolist() for _ in range(8)] == expected


def test_nothing_drawn_changes_nothing() -> None:
    drawn = stream(9, 4)
    drawn.draw(2)
    before = drawn.state()
    assert drawn.draw(0).tolist() == []
    assert drawn.state() == before


def test_rows_drawn_together_are_of_similar_length() -> None:
    drawn = stream(2000, 512)
    lengths = np.random.default_rng(3).integers(2, 60, 2000)
    spreads = [np.ptp(lengths[drawn.draw(16) // 10]) for _ in range(100)]
    assert np.median(spreads) <= 6
    assert len({int(lengths[drawn.draw(1)[0] // 10]) for _ in range(100)}) > 30, "but draws are of every length"


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_whole_examples_are_drawn_each_once_an_epoch(ties: list[int], window: int, count: int, seed: int) -> None:
    groups = np.unique(ties, return_inverse=True)[1]
    rows, lengths = np.arange(len(groups)) * 10, np.random.default_rng(3).integers(2, 60, len(groups))
    drawn = Stream(("a",), rows, lengths, seed=seed, window=window, groups=groups)
    examples = len(set(ties))
    assert len(drawn) == examples
    assert drawn.window == min(window, examples)
    assert drawn.mean_length == pytest.approx(lengths.sum() / examples)
    whole = {group: rows[groups == group].tolist() for group in range(examples)}
    seen: Counter[int] = Counter()
    left = epochs = math.lcm(examples, drawn.window)  # here a window ends with an epoch
    while left:
        taken = min(count, left)
        seen.update(_examples_in(drawn.draw(taken).tolist(), whole, taken))
        left -= taken
    assert seen == dict.fromkeys(range(examples), epochs // examples)


def _examples_in(rows: list[int], whole: dict[int, list[int]], count: int) -> list[int]:
    """The examples that make up some rows, each with all of its rows behind one another, in their order."""
    found = []
    for _ in range(count):
        group = next(group for group, of_group in whole.items() if of_group[0] == rows[0])
        assert rows[: len(whole[group])] == whole[group]
        rows = rows[len(whole[group]) :]
        found.append(group)
    assert rows == []
    return found


def test_examples_drawn_together_have_rows_of_similar_length() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(1000), random.integers(1, 9, 1000))
    lengths = random.integers(10, 90, 1000)[groups] + random.integers(-3, 4, len(groups))
    drawn = Stream(("a",), np.arange(len(groups)), lengths, seed=0, window=512, groups=groups)
    spreads = [np.ptp(lengths[drawn.draw(8)]) for _ in range(50)]
    assert np.median(spreads) <= 12


def test_a_restored_stream_of_examples_goes_on_exactly() -> None:
    def made() -> Stream:
        groups = np.arange(40) // 3
        return Stream(("a",), np.arange(40), np.arange(40) % 7, seed=4, window=5, groups=groups)

    drawn, fresh = made(), made()
    drawn.draw(8)
    fresh.restore(json.loads(json.dumps(drawn.state())))
    assert [fresh.draw(3).tolist() for _ in range(9)] == [drawn.draw(3).tolist() for _ in range(9)]


def test_tasks_that_read_the_same_rows_share_a_stream(tiny_encoder: Path) -> None:
    rows = [
        {"text": f"film {n}", "a": "xy"[n % 2], "b": "xy"[n % 2] if n < 20 else None, "of": n % 3} for n in range(40)
    ]
    shared = {"train": rows, "validation": rows[:10]}
    other = {"train": [*rows], "validation": rows[:10]}
    tasks = [
        Classification("first", source=shared, label="a"),
        Classification("second", source=shared, label="b"),
        Classification("part", source=shared, label="a", where={"of": 1}),
        Classification("other", source=other, label="a"),
    ]
    corpus = load_corpus(tasks, load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder), 16)
    streams = {made.name: made for made in streams_of(corpus, seed=0)}
    assert list(streams) == ["first+second", "part", "other"]
    assert sorted(streams["first+second"].draw(40).tolist()) == list(range(40))
    assert sorted(streams["part"].draw(13).tolist()) == list(range(1, 40, 3))
    assert streams["first+second"].draw(40).tolist() != streams["other"].draw(40).tolist()


QUERIES = [
    {"q": f"film {n // 4}", "c": f"heart {n}", "of": f"{n % 3}", "r": float(n % 4 == 0), "mood": "xy"[n % 2]}
    for n in range(40)
]
RANKED = {"train": QUERIES, "validation": QUERIES[:8]}


def made_of(tiny_encoder: Path, *tasks: Task) -> dict[str, Stream]:
    corpus = load_corpus(tasks, load_tokenizer(Encoder(str(tiny_encoder)), tiny_encoder), 16)
    return {made.name: made for made in streams_of(corpus, seed=0)}


def test_a_task_goes_with_the_one_that_ties_its_rows(tiny_encoder: Path) -> None:
    streams = made_of(
        tiny_encoder,
        Classification("mood", source=RANKED, text=("q", "c"), label="mood"),
        Ranking("order", source=RANKED, query="q", candidate="c", relevance="r"),
        Ranking("other", source=RANKED, query="q", candidate="c", relevance="r", query_id="of"),
    )
    assert list(streams) == ["mood+order", "other"]
    assert [len(made) for made in streams.values()] == [10, 3]
    first = streams["mood+order"].draw(1)
    assert first.tolist() == list(range(first[0] - first[0] % 4, first[0] - first[0] % 4 + 4))
    assert len(set(streams["other"].draw(1) % 3)) == 1
    assert sorted(streams["mood+order"].draw(9).tolist() + first.tolist()) == list(range(40))


def test_rows_that_are_tied_to_none_are_drawn_alone(tiny_encoder: Path) -> None:
    rows = [{**row, "r": None if n < 8 else row["r"]} for n, row in enumerate(QUERIES)]
    source = {"train": rows, "validation": rows[8:16]}
    (made,) = made_of(
        tiny_encoder,
        Ranking("order", source=source, query="q", candidate="c", relevance="r"),
        Classification("mood", source=source, text=("q", "c"), label="mood"),
    ).values()
    assert len(made) == 8 + 8
    sizes = Counter(len(made.draw(1)) for _ in range(16))
    assert sizes == {1: 8, 4: 8}


def test_windows_of_a_passage_are_drawn_together(tiny_encoder: Path) -> None:
    text = "the train to Lisbon leaves at nine, Anna met Ben in Paris on Monday"
    rows = [{"c": text if n % 2 else "a film", "a": [{"text": "film", "start": 2}] if n == 0 else []} for n in range(9)]
    source = {"train": rows, "validation": rows[:2]}
    (made,) = made_of(
        tiny_encoder, Spans("span", source=source, question="", context="c", answers="a", stride=2)
    ).values()
    assert len(made) == 9
    sizes = Counter(len(made.draw(1)) for _ in range(9))
    assert set(sizes) == {1, 2}
    assert sizes[1] == 5
