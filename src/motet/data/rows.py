"""Which rows of a split belong to a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from motet.data.cells import in_batches
from motet.tasks.base import Inputs, Task

__all__ = ["column", "groups", "matching", "owned", "positions", "ranks", "text_hashes", "with_text"]


def column(dataset: Dataset, name: str) -> pa.ChunkedArray:
    """A column of a split of a `Table`, read in place."""
    return dataset.data.table.column(name)


def owned(task: Task, dataset: Dataset) -> np.ndarray:
    """The positions, ascending, of the rows that a task learns from or is scored on.

    They match its `where`, have an answer, and have a text in every input column.
    """
    if task.target not in dataset.column_names:
        return positions(np.zeros(0, dtype=bool))
    mask = matching(dataset, task.where) & with_text(dataset, task.inputs)
    for name in filter(None, (task.target, task.group)):
        mask &= pc.is_valid(column(dataset, name)).to_numpy()
    return positions(mask)


def positions(mask: np.ndarray) -> np.ndarray:
    """Where a mask is true, in as few bytes as a table of that length needs."""
    return np.flatnonzero(mask).astype(np.int32 if len(mask) < 1 << 30 else np.int64)


def groups(dataset: Dataset, name: str, rows: np.ndarray) -> np.ndarray:
    """Which of some rows are equal in a column: numbers from 0, by first appearance."""
    coded = column(dataset, name).dictionary_encode()
    codes = [part.indices.fill_null(-1).to_numpy() for part in coded.chunks]
    return ranks(np.concatenate(codes)[rows]) if codes else np.zeros(0, dtype=np.int64)


def ranks(values: np.ndarray) -> np.ndarray:
    """Equal numbers for equal values, counted from 0 by first appearance.

    Example:
        >>> ranks(np.array(["b", "a", "b"])).tolist()
        [0, 1, 0]
    """
    _, first, same = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[same])


def matching(dataset: Dataset, where: Mapping[str, Any]) -> np.ndarray:
    """Which rows have the given values in the given columns."""
    mask = np.ones(len(dataset), dtype=bool)
    for name, wanted in where.items():
        found = [_equal(part, wanted) for _, (part,) in in_batches([column(dataset, name)])]
        mask &= np.concatenate([*found, mask[:0]])
    return mask


def _equal(values: pa.ChunkedArray, wanted: Any) -> np.ndarray:
    """Which values are equal to one as Python has it, where 1 is 1.0 and no text is a number."""
    if pa.types.is_nested(values.type):
        return np.fromiter((value == wanted for value in values.to_pylist()), dtype=bool, count=len(values))
    same = [value for value in values.unique().to_pylist() if value == wanted]
    return np.asarray(pc.is_in(values, value_set=pa.array(same, values.type)).to_numpy())


def with_text(dataset: Dataset, inputs: Inputs) -> np.ndarray:
    """Which rows have something to read in every input column: a text that is not blank, or at least one word."""
    mask = np.ones(len(dataset), dtype=bool)
    for rows, parts in in_batches([column(dataset, name) for name in inputs.columns]):
        for part in parts:
            mask[rows] &= _sizes(part) > 0
    return mask


def _sizes(values: pa.ChunkedArray) -> np.ndarray:
    """Characters of a text without the white space around it, or words."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        length = pc.utf8_length(pc.utf8_trim_whitespace(values))
    elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        length = pc.list_value_length(values)
    else:
        length = pc.cast(pc.is_valid(values), pa.int32())
    return np.asarray(pc.fill_null(length, 0).to_numpy())


def text_hashes(dataset: Dataset, inputs: Inputs) -> np.ndarray:
    """A number for the text of every row, equal for texts that differ in case and white space alone.

    The numbers are good for comparing within this process only.
    """
    hashes = np.zeros(len(dataset), dtype=np.int64)
    for rows, parts in in_batches([column(dataset, name) for name in inputs.columns]):
        cells = zip(*(part.to_pylist() for part in parts), strict=True)
        hashes[rows] = np.fromiter(map(_hash, cells), dtype=np.int64, count=len(rows))
    return hashes


def _hash(cells: tuple[Any, ...]) -> int:
    texts = (" ".join(cell) if isinstance(cell, list) else str(cell) for cell in cells)
    return hash(tuple(" ".join(text.split()).casefold() for text in texts))
