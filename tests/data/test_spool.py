"""Streams of local files stand for those of the hub; `datasets` reads both in the same way."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, IterableDataset, IterableDatasetDict, List, Value, load_dataset

from motet.data.cache import cache_folder
from motet.data.sources import Source, Table, read
from motet.errors import DataError

ROWS = [{"text": f"text {n}", "label": "ab"[n % 2], "n": n if n < 30 else n / 8} for n in range(400)]


class Hub:
    """Stands for the hub: streams by split, and how often they were asked for."""

    def __init__(self, **streams: IterableDataset) -> None:
        self.streams = streams
        self.opened = 0

    def load_dataset(self, name: str, subset: Any, revision: Any, streaming: bool) -> IterableDatasetDict:
        assert streaming
        self.opened += 1
        return IterableDatasetDict(self.streams)


@pytest.fixture
def on_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("MOTET_CACHE", str(tmp_path / "cache"))

    def put(**streams: IterableDataset) -> Hub:
        hub = Hub(**streams)
        monkeypatch.setattr(datasets, "load_dataset", hub.load_dataset)
        return hub

    yield put


def local(path: Path, rows: list[dict[str, Any]]) -> IterableDataset:
    """The rows by way of a file that `datasets` streams."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_dataset("json", data_files=str(path), split="train", streaming=True)


def streamed(**rows: int) -> Table:
    return read(Source("owner/name", rows=rows, streaming=True))


def contents(table: Table, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.splits[split].remove_columns("__id__").to_list()
    return rows


def test_the_first_rows_are_a_table(on_hub: Any, tmp_path: Path) -> None:
    stream = local(tmp_path / "train.jsonl", ROWS)
    hub = on_hub(train=stream, dev=stream, test=stream)
    table = streamed(train=200, validation=50)
    assert contents(table, "train") == [{**row, "n": float(row["n"])} for row in ROWS[:200]]
    assert contents(table, "validation") == [{**row, "n": float(row["n"])} for row in ROWS[:50]]
    assert list(table.splits) == ["train", "validation"]
    assert table.notes == (
        "name: streamed, the first 200 rows of train and 50 rows of validation; nothing else of it was read",
    )
    assert all(rows.cache_files for rows in table.splits.values()), "it is on disk, not in memory"
    assert hub.opened == 1


def test_what_is_here_is_not_fetched_again(on_hub: Any, tmp_path: Path) -> None:
    on_hub(train=local(tmp_path / "train.jsonl", ROWS))
    before = streamed(train=100)
    hub = on_hub()
    after = streamed(train=100)
    assert hub.opened == 0
    assert after.fingerprint == before.fingerprint
    assert contents(after, "train") == contents(before, "train")
    assert [*cache_folder().glob("*/.*"), *cache_folder().glob("tmp*")] == [], "nothing is left beside the tables"


def test_the_fingerprint_is_of_what_was_fetched(on_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for number, rows in enumerate((ROWS, ROWS, ROWS[1:])):
        monkeypatch.setenv("MOTET_CACHE", str(tmp_path / f"cache {number}"))
        hub = Hub(train=local(tmp_path / "train.jsonl", rows))
        monkeypatch.setattr(datasets, "load_dataset", hub.load_dataset)
        found.append(streamed(train=100).fingerprint)
    assert found[0] == found[1] != found[2]


def test_a_short_stream_is_read_to_its_end(on_hub: Any, tmp_path: Path) -> None:
    on_hub(train=local(tmp_path / "train.jsonl", ROWS))
    table = streamed(train=10_000)
    assert {split: len(rows) for split, rows in table.splits.items()} == {"train": 360, "validation": 40}
    assert "the first 400 rows of train" in table.notes[0]


def test_types_are_found_in_every_row(on_hub: Any) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"id": f"{n:03}", "late": None if n < 150 else "here", "odd": n or "zero"} for n in range(200))

    on_hub(train=IterableDataset.from_generator(rows))
    table = streamed(train=200)
    assert contents(table, "train")[-1] == {"id": "199", "late": "here", "odd": "199"}
    assert table.mixed == {"odd": "holds text (row 1), a whole number (row 2) in train"}


def test_names_of_classes_are_spelt(on_hub: Any) -> None:
    names = ClassLabel(names=["O", "B-x"])
    features = Features({"text": Value("string"), "label": names, "tags": List(names)})
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [1, -1], "tags": [[0, 1], []]}, features=features)
    on_hub(train=rows.to_iterable_dataset(), validation=rows.to_iterable_dataset())
    assert contents(streamed(train=2, validation=2), "train") == [
        {"text": "a", "label": "B-x", "tags": ["O", "B-x"]},
        {"text": "b", "label": None, "tags": []},
    ]


def test_an_endless_stream_is_left_after_enough_rows_of_it(on_hub: Any) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"text": "a long enough text " * 30, "n": n} for n in count())

    on_hub(train=IterableDataset.from_generator(rows))
    tracemalloc.start()
    try:
        table = read(Source("owner/name", rows={"train": 8_000}, validation=0, streaming=True))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert table.splits["train"]["n"][-1] == 7_999
    assert peak < 3 << 20 < 8_000 * len("a long enough text " * 30)


def test_a_split_that_is_not_there(on_hub: Any, tmp_path: Path) -> None:
    on_hub(train=local(tmp_path / "train.jsonl", ROWS))
    with pytest.raises(DataError, match=r"rows\.test\n    owner/name has no such split"):
        streamed(train=10, test=10)


def test_a_stream_that_breaks_off_leaves_nothing(on_hub: Any) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ROWS[:7]
        raise ConnectionError("the line  went dead")

    hub = on_hub(train=IterableDataset.from_generator(rows))
    for times in (1, 2):
        with pytest.raises(DataError, match=r"name, train\n    broke off behind row 7: the line went dead. Nothing"):
            streamed(train=10)
        assert hub.opened == times
