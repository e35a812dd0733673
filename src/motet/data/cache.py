"""The folder in which motet keeps what it can make again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from datasets.table import MemoryMappedTable

from motet.data.mapping import mapped
from motet.errors import DataError

__all__ = ["build_once", "cache_folder", "table_once"]

_BATCH = 1 << 20  # bytes; opening a file reads the head of every batch, so many small ones are as good as the whole


def cache_folder() -> Path:
    """``MOTET_CACHE`` from the environment, else ``~/.cache/motet``."""
    chosen = os.environ.get("MOTET_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "motet"


def build_once(path: Path, build: Callable[[Path], None]) -> Path:
    """Return `path`, letting `build` make that file or folder first if it is not there.

    It appears whole or not at all, also when several processes build it at the same time: the first one wins.

    Raises:
        DataError: the cache cannot be written.
    """
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as workshop:
            made = Path(workshop) / path.name
            build(made)
            _settle(made)
            _move(made, path)
    except OSError as error:
        raise DataError(
            f"could not write {path}: {error.strerror or error}. "
            f"Make room, or set MOTET_CACHE to a folder that can be written."
        ) from error
    return path


def table_once(key: str, make: Callable[[], tuple[pa.Schema, Iterable[pa.RecordBatch]]]) -> MemoryMappedTable:
    """The memory-mapped Arrow table of a key, letting `make` give its schema and rows first if it is not there."""

    def write(target: Path) -> None:
        schema, batches = make()
        with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
            for batch in _joined(batches):
                stream.write_batch(batch)

    path = build_once(cache_folder() / "tables" / f"{key}.arrow", write)
    return MemoryMappedTable(pa.ipc.open_stream(mapped(path)).read_all(), str(path))


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches that are not small."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.nbytes for each in waiting) >= _BATCH:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


def _settle(made: Path) -> None:
    """Force files to disk before they get their name, so that a power cut leaves no empty file under it."""
    for file in [made] if made.is_file() else sorted(made.rglob("*")):
        if file.is_file():
            with file.open("rb+") as handle:
                os.fsync(handle.fileno())


def _move(made: Path, path: Path) -> None:
    try:
        made.replace(path)
    except OSError:
        if not path.is_dir():  # a folder cannot replace one that another process put there meanwhile
            raise
        shutil.rmtree(made)
