"""The first rows of data sets on the hub that are too long to download.

Rows are fetched in order and put on disk until there are enough, never more than a few of them in memory. After that
they are a table like any other: a run needs one, since it comes back to every row, epoch after epoch, and keeps a
record of its best answers to each.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, TextIO

import pyarrow as pa
from datasets import IterableDataset
from rich.console import Console
from rich.progress import track

from motet.data.cache import cache_folder
from motet.data.columns import Row
from motet.data.files import Batches, content_digest, part_once, typed_rows
from motet.data.hub import FAULTS, class_names, open_streams, reason_of, spell
from motet.data.splits import Part, digest
from motet.errors import DataError, Problem

__all__ = ["spool_hub"]

_FORMAT = "1"  # part of every cache key; raise it when what is stored changes


def spool_hub(
    name: str, subset: str, revision: str, wanted: Mapping[str, str], here: str, counts: Mapping[str, int]
) -> dict[str, Part]:
    """The first rows of some splits of a data set on the hub; what was fetched before is not fetched again.

    Args:
        name: of the data set.
        subset: its configuration; empty for the only one.
        revision: commit, tag or branch; empty for what is the newest when the rows are fetched.
        wanted: hub splits by split; empty for those with customary names.
        here: what was looked for on this machine before, as a sentence.
        counts: how many rows of which splits.

    Raises:
        DataError: there is no such data set or split, or it cannot be read.
    """
    streams = cache(partial(open_streams, name, subset, revision, wanted, here))  # opened if a split is not here yet
    parts = {}
    for split, count in counts.items():
        key = digest(_FORMAT, "stream", name, subset, revision, wanted.get(split, ""), split, count)
        parts[split] = part_once(key, partial(_spooled, streams, split, count, name), content_digest)
    return parts


def _spooled(streams: Callable[[], Mapping[str, IterableDataset]], split: str, count: int, name: str) -> Batches:
    """The first rows of a stream, which cannot be gone through twice, by way of a file that is gone when they are."""
    if split not in streams():
        raise DataError(Problem(f"rows.{split}", f"{name} has no such split"))
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        file = closing.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder))
        for row in _fetched(streams()[split].take(count), count, f"{name}, {split}"):
            file.write(json.dumps(row, default=str) + "\n")
        schema, batches = typed_rows(partial(_again, file), f"{name}, {split}")
        return schema, _while_open(batches, closing.pop_all())


def _while_open(batches: Iterable[pa.RecordBatch], closing: ExitStack) -> Iterator[pa.RecordBatch]:
    with closing:
        yield from batches


def _fetched(stream: IterableDataset, count: int, name: str) -> Iterator[dict[str, Any]]:
    """The rows, with the names of classes spelt out, and a bar on the terminal for the minutes that it may take."""
    names = class_names(stream.features or {})
    terminal, fetched = Console(stderr=True), 0
    shown = track(stream, name, count, console=terminal, transient=True, disable=not terminal.is_terminal)
    try:
        for row in shown:
            fetched += 1
            yield {column: spell(value, names[column]) if column in names else value for column, value in row.items()}
    except FAULTS as error:
        rule = f"broke off behind row {fetched:,}: {reason_of(error)}"
        raise DataError(Problem(name, rule, remedy="Nothing of it is kept; start again.")) from error


def _again(file: TextIO) -> Iterator[Row]:
    file.seek(0)
    for number, line in enumerate(file, 1):
        yield f"row {number}", json.loads(line)
