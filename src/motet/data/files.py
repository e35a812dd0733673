"""Find local files of examples and read them, memory-mapped from a cache keyed by their content."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
from datasets import Dataset
from pyarrow import parquet

from motet.data.cache import table_once
from motet.data.columns import Row, Rows, batches, schema_of
from motet.data.formats import READERS, suffix_of
from motet.data.splits import Part, choose, digest
from motet.errors import DataError, Problem

__all__ = ["content_digest", "locate", "looks_local", "nearby", "part_once", "read_file", "read_folder", "typed_rows"]

Batches = tuple[pa.Schema, Iterable[pa.RecordBatch]]

_FORMAT = "1"  # part of every cache key; raise it when what is stored changes
_MIXED = b"motet.mixed"
_SUFFIXES = (*READERS, ".parquet")


def locate(text: str, folder: Path | None) -> Path | None:
    """The file or folder that a path names, from the current directory or from `folder`."""
    return next((place for place in _places(text, folder) if place.exists()), None)


def looks_local(text: str, folder: Path | None) -> bool:
    """Whether a path that is not there can only have meant a file or folder.

    A name on the hub is one word, or two with a slash between.
    """
    path = Path(text)
    if path.is_absolute() or text.startswith((".", "~")) or "\\" in text or len(path.parts) > 2 or _readable(path):
        return True
    return len(path.parts) == 2 and any(place.parent.is_dir() for place in _places(text, folder))


def nearby(text: str, folder: Path | None) -> str:
    """Where a missing path was looked for, and what lies near it with a similar name."""
    places = _places(text, folder)
    looked = f"Looked for {' and '.join(map(str, places))}."
    parents = [place.parent for place in places if place.parent.is_dir()]
    if not parents:
        return f"{looked} There is no folder {' or '.join(str(place.parent) for place in places)}."
    lying = {entry.name: entry for parent in parents for entry in parent.iterdir()}
    close = difflib.get_close_matches(Path(text).name, lying, n=3)
    names = ", ".join(str(lying[name]) for name in close)
    return f"{looked} Nearby: {names}." if close else f"{looked} Nothing of a similar name lies there."


def _places(text: str, folder: Path | None) -> list[Path]:
    path = Path(text).expanduser()
    places = [Path.cwd() / path] if folder is None else [Path.cwd() / path, folder / path]
    return list(dict.fromkeys(place.resolve() for place in places))


def read_folder(folder: Path, wanted: Mapping[str, str], counts: Mapping[str, int] | None = None) -> dict[str, Part]:
    """The splits of a folder that holds one file for each, such as ``train.csv`` and ``test.csv``.

    Args:
        folder: of the files.
        wanted: which file is which split; empty for the customary names.
        counts: the splits to read, and how many of the first rows of each; None for all of all.

    Raises:
        DataError: no train split, two files for one split, or a file that cannot be read.
    """
    names = [entry.name for entry in folder.iterdir() if entry.is_file() and (wanted or _readable(entry))]
    chosen = choose(names, wanted, str(folder))
    asked = dict.fromkeys(chosen) if counts is None else counts
    return {split: read_file(folder / name, asked[split]) for split, name in chosen.items() if split in asked}


def read_file(path: Path, count: int | None = None) -> Part:
    """The rows of a file, or so many of the first.

    Raises:
        DataError: the file cannot be read; names the line.
    """
    if not _readable(path):
        raise DataError(Problem(str(path), f"must end in one of {' '.join(_SUFFIXES)}, all but the last also with .gz"))
    content = content_digest(path)
    key = content if count is None else digest(content, "first", count)
    read = READERS.get(suffix_of(path))
    make = partial(_parquet, path, count) if read is None else partial(_first_rows, path, read, count)
    try:
        return part_once(key, make)
    except pa.ArrowException as error:
        raise DataError(Problem(str(path), f"cannot be read: {error}")) from error


def part_once(key: str, make: Callable[[], Batches], fingerprint: Callable[[Path], str] | None = None) -> Part:
    """The rows under a key of the cache, letting `make` give them first if they are not there.

    Args:
        key: of the rows.
        make: gives their schema, as `typed_rows` does, and the rows.
        fingerprint: makes one of the file in the cache; by default the key is the fingerprint.
    """
    table = table_once(key, make)
    metadata = table.schema.metadata or {}
    known_by = fingerprint(Path(table.path)) if fingerprint else key
    return Part(Dataset(table, fingerprint=known_by), json.loads(metadata.get(_MIXED, b"{}")))


def typed_rows(rows: Rows, origin: str) -> Batches:
    """Rows with the schema that holds all of them; they are gone through twice."""
    schema, mixed = schema_of(rows)
    schema = schema.with_metadata({_MIXED: json.dumps(mixed)})
    return schema, batches(rows, schema, mixed, origin)


def content_digest(path: Path) -> str:
    """A fingerprint of the content of a file, and of how it is read.

    Raises:
        DataError: the file cannot be read.
    """
    content = hashlib.sha256(f"{_FORMAT} {suffix_of(path)} {path.suffix == '.gz'} ".encode())
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    except OSError as error:
        raise DataError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    return content.hexdigest()[:32]


def _readable(path: Path) -> bool:
    return suffix_of(path) in READERS or path.suffix.lower() == ".parquet"


def _first_rows(path: Path, read: Callable[[Path], Iterable[Row]], count: int | None) -> Batches:
    return typed_rows(lambda: islice(read(path), count), str(path))


def _parquet(path: Path, count: int | None) -> Batches:
    file = parquet.ParquetFile(path)
    return file.schema_arrow, file.iter_batches() if count is None else _first_batches(file, count)


def _first_batches(file: parquet.ParquetFile, count: int) -> Iterator[pa.RecordBatch]:
    for batch in file.iter_batches():
        yield batch.slice(0, count)
        count -= len(batch)
        if count <= 0:
            return
