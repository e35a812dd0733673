"""The ids of rows: a column that tells them apart, or their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
from datasets import Dataset

from motet.data.cache import table_once
from motet.data.cells import BATCH, in_batches
from motet.errors import nearest

__all__ = ["ids_of"]


def ids_of(dataset: Dataset, split: str, column: str, key: str) -> tuple[pa.ChunkedArray, str]:
    """The ids of the rows of a split, and why a column cannot give them, if it cannot.

    Args:
        dataset: the rows.
        split: goes into the numbers of rows, as in ``train:1``, where the column gives no ids.
        column: which may give them.
        key: of the file that keeps them where the rows are on disk too.
    """
    total = len(dataset)
    numbers = ([f"{split}:{row + 1}" for row in range(at, min(at + BATCH, total))] for at in range(0, total, BATCH))
    if column not in dataset.column_names:
        missing = f"has no column `{column}` for ids. {nearest(column, dataset.column_names)}"
        return _kept(dataset, numbers, key), "" if split == "unlabelled" else missing
    values = dataset.data.table.column(column)
    fault = _fault(values)
    if fault:
        return _kept(dataset, numbers, key), f"`{column}` must tell rows apart: {fault}"
    if pa.types.is_string(values.type):
        return values, ""
    return _kept(dataset, (list(map(str, part.to_pylist())) for _, (part,) in in_batches([values])), key), ""


def _kept(dataset: Dataset, texts: Iterable[list[str]], key: str) -> pa.ChunkedArray:
    """The texts as a column: on disk if the data set is there."""
    parts = (pa.array(batch, pa.string()) for batch in texts)
    if not dataset.cache_files:
        return pa.chunked_array(parts, pa.string())
    schema = pa.schema([("ids", pa.string())])
    batches = (pa.RecordBatch.from_arrays([part], schema=schema) for part in parts)
    return table_once(key, lambda: (schema, batches)).table.column("ids")


def _fault(values: pa.ChunkedArray) -> str:
    """Why some values cannot be ids; empty if they can."""
    hashes = np.concatenate([np.zeros(0, dtype=np.int64), *(found for _, found in _hashes(values))])
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated) and not values.null_count:
        return ""
    first: dict[str, int] = {}
    for row, value in _suspects(values, repeated):
        if value is None:
            return f"row {row} has none"
        if value in first:
            return f"`{value}` stands in rows {first[value]} and {row}"
        first[value] = row
    return ""


def _hashes(values: pa.ChunkedArray) -> Iterator[tuple[list[str | None], np.ndarray]]:
    """The values as text, batch by batch, and a number for each that is equal for equal texts."""
    for _, (part,) in in_batches([values]):
        texts = [None if value is None else str(value) for value in part.to_pylist()]
        yield texts, np.fromiter(map(hash, texts), dtype=np.int64, count=len(texts))


def _suspects(values: pa.ChunkedArray, repeated: np.ndarray) -> Iterator[tuple[int, str | None]]:
    """The rows, counted from 1, that have no value or one whose number occurs twice, and these values."""
    texts = chain.from_iterable(
        zip(texts, np.isin(hashes, repeated).tolist(), strict=True) for texts, hashes in _hashes(values)
    )
    return ((row, text) for row, (text, often) in enumerate(texts, 1) if often or text is None)
