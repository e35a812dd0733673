"""Find local files of examples and read them, memory-mapped from a cache keyed by their content."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
from datasets import Dataset
from pyarrow import parquet

from motet.data.cache import table_once
from motet.data.columns import Row, batches, schema_of
from motet.data.formats import READERS, suffix_of
from motet.data.splits import Part, choose
from motet.errors import DataError, Problem

__all__ = ["locate", "looks_local", "nearby", "read_file", "read_folder"]

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


def read_folder(folder: Path, wanted: Mapping[str, str]) -> dict[str, Part]:
    """The splits of a folder that holds one file for each, such as ``train.csv`` and ``test.csv``.

    Raises:
        DataError: no train split, two files for one split, or a file that cannot be read.
    """
    names = [entry.name for entry in folder.iterdir() if entry.is_file() and (wanted or _readable(entry))]
    return {split: read_file(folder / name) for split, name in choose(names, wanted, str(folder)).items()}


def read_file(path: Path) -> Part:
    """The rows of a file.

    Raises:
        DataError: the file cannot be read; names the line.
    """
    if not _readable(path):
        raise DataError(Problem(str(path), f"must end in one of {' '.join(_SUFFIXES)}, all but the last also with .gz"))
    key = _content_digest(path)
    read = READERS.get(suffix_of(path))
    make = partial(_parquet, path) if read is None else partial(_typed_rows, path, read)
    try:
        table = table_once(key, make)
    except pa.ArrowException as error:
        raise DataError(Problem(str(path), f"cannot be read: {error}")) from error
    metadata = table.schema.metadata or {}
    return Part(Dataset(table, fingerprint=key), json.loads(metadata.get(_MIXED, b"{}")))


def _readable(path: Path) -> bool:
    return suffix_of(path) in READERS or path.suffix.lower() == ".parquet"


def _content_digest(path: Path) -> str:
    content = hashlib.sha256(f"{_FORMAT} {suffix_of(path)} {path.suffix == '.gz'} ".encode())
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
    except OSError as error:
        raise DataError(Problem(str(path), f"cannot be read: {error.strerror}")) from error
    return content.hexdigest()[:32]


def _typed_rows(path: Path, read: Callable[[Path], Iterable[Row]]) -> Batches:
    schema, mixed = schema_of(partial(read, path))
    schema = schema.with_metadata({_MIXED: json.dumps(mixed)})
    return schema, batches(partial(read, path), schema, mixed, str(path))


def _parquet(path: Path) -> Batches:
    file = parquet.ParquetFile(path)
    return file.schema_arrow, file.iter_batches()
