"""Rows out of files and answers into files: JSON Lines, CSV and Parquet, a part at a time."""

from __future__ import annotations

import csv
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
from pyarrow import parquet

from motet.data.formats import READERS, suffix_of
from motet.errors import RunError
from motet.serving.rows import read_lines
from motet.tasks.base import Task

__all__ = ["Writer", "read_rows", "row_count", "schema_of", "writer_for"]

Answer = dict[str, Any]
_LINES = (".jsonl", ".ndjson", ".txt", "")


def read_rows(path: Path) -> Iterator[Any]:
    """What is in a file, row after row, without holding more of it than a few.

    Raises:
        RunError: it cannot be read, or holds a line of JSON that is broken; names the line.
        DataError: the same for other formats.
    """
    suffix = suffix_of(path)
    if suffix == ".parquet":
        return _parquet_rows(path)
    if path.suffix != ".gz" and suffix in _LINES:
        return read_lines(str(path))
    if suffix not in READERS:
        known = " ".join([*filter(None, _LINES), *READERS, ".parquet"])
        raise RunError(f"{path}: rows are read from files that end in one of {known}.")
    return (row for _, row in READERS[suffix](path))


def _parquet_rows(path: Path) -> Iterator[Any]:
    with _told(path):
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
            yield from batch.to_pylist()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path} cannot be read: {str(error).rstrip('.')}.") from error


def row_count(path: Path) -> int | None:
    """How many rows a file has, where that is quickly known."""
    if suffix_of(path) == ".parquet":
        with _told(path):
            return int(parquet.ParquetFile(path).metadata.num_rows)
    if path.suffix == ".gz" or suffix_of(path) not in _LINES:
        return None
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


class Writer(ABC):
    """How answers are written: in parts, which make one file in the end.

    Args:
        tasks: that answer.
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.tasks = dict(tasks)

    @abstractmethod
    def part(self, path: Path, answers: Sequence[Answer]) -> None:
        """Write some answers to a file."""

    @abstractmethod
    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Make one file of all parts, without holding them."""


class _Lines(Writer):
    """One JSON object a line: for every task its answer."""

    def part(self, path: Path, answers: Sequence[Answer]) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{json.dumps(answer, ensure_ascii=False)}\n" for answer in answers)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        with path.open("wb") as whole:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole)


class _Csv(_Lines):
    """One column for every part of an answer, such as `topic.label`; what is no text or number is JSON."""

    def part(self, path: Path, answers: Sequence[Answer]) -> None:
        columns = self._columns()
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [_cell(answer.get(task, {}).get(key)) for task, key in columns] for answer in answers
            )

    def join(self, parts: Sequence[Path], path: Path) -> None:
        header = path.with_name(f"{path.name}.header")
        with header.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([f"{task}.{key}" for task, key in self._columns()])
        super().join([header, *parts], path)
        header.unlink()

    def _columns(self) -> list[tuple[str, str]]:
        return [(field.name, inner.name) for field in schema_of(self.tasks) for inner in field.type]


class _Parquet(Writer):
    """One column for every task, with the parts of its answer as fields; a group of rows for every part."""

    def part(self, path: Path, answers: Sequence[Answer]) -> None:
        parquet.write_table(pa.Table.from_pylist(list(answers), schema_of(self.tasks)), path)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        with parquet.ParquetWriter(path, schema_of(self.tasks)) as whole:
            for part in parts:
                whole.write_table(parquet.read_table(part))


def writer_for(path: Path, tasks: Mapping[str, Task]) -> Writer:
    """The writer for the format that a file name asks for.

    Raises:
        RunError: there is none for its suffix.
    """
    kinds: dict[str, type[Writer]] = {".jsonl": _Lines, ".ndjson": _Lines, ".csv": _Csv, ".parquet": _Parquet}
    if path.suffix.lower() not in kinds:
        raise RunError(f"{path}: answers are written to files that end in one of {' '.join(kinds)}.")
    return kinds[path.suffix.lower()](tasks)


def schema_of(tasks: Mapping[str, Task]) -> pa.Schema:
    """The columns of answers: one for every task, with a field for every part of its answer."""
    return pa.schema([(name, _answer_type(task)) for name, task in tasks.items()])


def _answer_type(task: Task) -> pa.DataType:
    if task.group:  # a row is one candidate, and those of its query tell its rank
        return pa.struct([("score", pa.float64()), ("rank", pa.int64())])
    return _arrow(task.answer_schema())


def _arrow(schema: Mapping[str, Any]) -> pa.DataType:
    """The type of what a JSON Schema describes."""
    if "anyOf" in schema:
        return _arrow(next(each for each in schema["anyOf"] if each.get("type") != "null"))
    if schema["type"] == "object":
        return pa.struct([(name, _arrow(inner)) for name, inner in schema["properties"].items()])
    if schema["type"] == "array":
        return pa.list_(_arrow(schema["items"]))
    return {"string": pa.string(), "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}[schema["type"]]


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else cast(Any, value)
