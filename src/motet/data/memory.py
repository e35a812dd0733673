"""Tables that are in memory: rows, data frames and data sets of `datasets`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from motet.data.columns import Row, batches, schema_of
from motet.data.splits import Part, choose
from motet.errors import DataError, Problem

__all__ = ["is_table", "read_memory"]

_PLAIN = (str, int, float, bool, type(None))


def is_table(value: object) -> bool:
    """Whether a value can be read as a table, or as several by split."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(is_table, value.values()))
    return isinstance(value, (list, tuple, Dataset)) or _is_frame(value)


def read_memory(value: Any, wanted: Mapping[str, str]) -> dict[str, Part]:
    """The splits of a table in memory; one without splits is the train split.

    Raises:
        DataError: not a table, or values that no column holds.
    """
    if not isinstance(value, Mapping):
        return {"train": _part(value, "train")}
    chosen = choose(value, wanted, "the mapping of splits")
    return {split: _part(value[key], key) for split, key in chosen.items()}


def _part(value: Any, name: str) -> Part:
    if isinstance(value, Dataset):
        return Part(value, {})
    rows = _records(value, name) if _is_frame(value) else value
    placed = [_row(row, name, number) for number, row in enumerate(rows, 1)]
    schema, mixed = schema_of(lambda: placed)
    table = pa.Table.from_batches(batches(lambda: placed, schema, mixed, name), schema)
    return Part(Dataset(table, fingerprint=_fingerprint(table)), mixed)


def _is_frame(value: object) -> bool:
    return type(value).__name__ == "DataFrame" and hasattr(value, "notna")


def _records(frame: Any, name: str) -> list[dict[str, Any]]:
    if not frame.columns.is_unique:
        raise DataError(Problem(f"the data frame of {name}", "must name each column once"))
    missing_as_none = frame.astype(object).where(frame.notna(), None)
    return list(missing_as_none.to_dict("records"))


def _row(row: object, name: str, number: int) -> Row:
    if not isinstance(row, Mapping):
        raise DataError(Problem(f"{name}, row {number}", f"must be a mapping of columns, found {type(row).__name__}"))
    return f"row {number}", {str(column): _plain(value) for column, value in row.items()}


def _plain(value: Any) -> Any:
    """A value as JSON could hold it, where it is of a kind that JSON has."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _fingerprint(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()[:32]
