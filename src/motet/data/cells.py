"""Columns with more rows than should be Python values at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from motet.data.mapping import trim

__all__ = ["BATCH", "Cells", "in_batches"]

BATCH = 10_000


def in_batches(
    columns: Sequence[pa.ChunkedArray], rows: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, list[pa.ChunkedArray]]]:
    """Some rows of some columns, a few thousand at a time.

    Args:
        columns: of equal length.
        rows: positions, ascending; None for all.

    Yields:
        Positions, and the values of every column there.

    Example:
        >>> [(rows, (part,))] = in_batches([pa.chunked_array([["a", "b"], ["c"]])], np.array([0, 2]))
        >>> part.to_pylist()
        ['a', 'c']
    """
    for here in _runs(len(columns[0]), rows):
        first, span = int(here[0]), int(here[-1] - here[0]) + 1
        parts = [column.slice(first, span) for column in columns]
        whole = len(here) == span and bool((np.diff(here) == 1).all())
        yield here, parts if whole else [part.take(here - first) for part in parts]
        trim()


def _runs(total: int, rows: np.ndarray | None) -> Iterator[np.ndarray]:
    """Positions that lie near one another."""
    if rows is None:
        yield from (np.arange(start, min(start + BATCH, total)) for start in range(0, total, BATCH))
    elif len(rows):
        edges = np.arange(int(rows[0]), int(rows[-1]) + 1, BATCH, dtype=rows.dtype)
        bounds = np.searchsorted(rows, edges)
        yield from (rows[a:b] for a, b in zip(bounds, [*bounds[1:], len(rows)], strict=True) if b > a)


class Cells(Sequence[Any]):
    """The values of a column in some rows, made into Python values while they are gone through.

    Args:
        column: the values of all rows.
        rows: positions, ascending; None for all.

    Example:
        >>> cells = Cells(pa.chunked_array([["a", "b"], ["c"]]), np.array([1, 1, 2]))
        >>> len(cells), cells[2], cells == ["b", "b", "c"]
        (3, 'c', True)
    """

    def __init__(self, column: pa.ChunkedArray, rows: np.ndarray | None = None) -> None:
        self._column = column
        self._rows = rows

    def __len__(self) -> int:
        return len(self._column if self._rows is None else self._rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        return self._column[int(place if self._rows is None else self._rows[place])].as_py()

    def __iter__(self) -> Iterator[Any]:
        for _, (part,) in in_batches([self._column], self._rows):
            yield from part.to_pylist()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
