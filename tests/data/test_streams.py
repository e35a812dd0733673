from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motet.data.corpus import load_corpus
from motet.data.streams import Stream, streams_of
from motet.encoders import Encoder, load_tokenizer
from motet.tasks.classification import Classification


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
    assert streams["first+second"].rows.tolist() == list(range(40))
    assert streams["part"].rows.tolist() == list(range(1, 40, 3))
    assert streams["first+second"].draw(40).tolist() != streams["other"].draw(40).tolist()
