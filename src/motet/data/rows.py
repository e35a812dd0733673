"""Which rows of a split belong to a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from motet.tasks.base import Inputs, Task

__all__ = ["column", "matching", "owned", "text_hashes", "with_text"]


def column(dataset: Dataset, name: str) -> pa.ChunkedArray:
    """A column of a split of a `Table`, read in place."""
    return dataset.data.table.column(name)


def owned(task: Task, dataset: Dataset) -> np.ndarray:
    """The positions, ascending, of the rows that a task learns from or is scored on.

    They match its `where`, have an answer, and have a text in every input column.
    """
    if task.target not in dataset.column_names:
        return np.zeros(0, dtype=np.int64)
    answered = pc.is_valid(column(dataset, task.target)).to_numpy()
    return np.flatnonzero(matching(dataset, task.where) & answered & with_text(dataset, task.inputs))


def matching(dataset: Dataset, where: Mapping[str, Any]) -> np.ndarray:
    """Which rows have the given values in the given columns."""
    mask = np.ones(len(dataset), dtype=bool)
    for name, wanted in where.items():
        mask &= np.fromiter((value == wanted for value in column(dataset, name).to_pylist()), dtype=bool)
    return mask


def with_text(dataset: Dataset, inputs: Inputs) -> np.ndarray:
    """Which rows have something to read in every input column: a text that is not blank, or at least one word."""
    mask = np.ones(len(dataset), dtype=bool)
    for name in inputs.columns:
        values = column(dataset, name)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            length = pc.utf8_length(pc.utf8_trim_whitespace(values))
        elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            length = pc.list_value_length(values)
        else:
            length = pc.cast(pc.is_valid(values), pa.int32())
        mask &= pc.fill_null(length, 0).to_numpy() > 0
    return mask


def text_hashes(dataset: Dataset, inputs: Inputs) -> np.ndarray:
    """A number for the text of every row, equal for texts that differ in case and white space alone.

    The numbers are good for comparing within this process only.
    """
    columns = [column(dataset, name).to_pylist() for name in inputs.columns]
    return np.fromiter(map(_hash, zip(*columns, strict=True)), dtype=np.int64, count=len(dataset))


def _hash(cells: tuple[Any, ...]) -> int:
    texts = (" ".join(cell) if isinstance(cell, list) else str(cell) for cell in cells)
    return hash(tuple(" ".join(text.split()).casefold() for text in texts))
