"""The labelled rows of a task: where they lie in a tokenised table, their answers, and which belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import numpy as np

from motet.data.cells import BATCH, Cells
from motet.data.encoding import TokenRows
from motet.data.rows import column, ranks
from motet.data.sources import Table
from motet.data.splits import ID
from motet.tasks.base import Task

__all__ = ["Chosen", "Examples", "Flat", "Targets", "counts"]


class Targets(Protocol):
    """The encoded true answer of every row."""

    def __getitem__(self, row: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Flat:
    """Answers one after the other.

    Args:
        values: of all rows, ``[numbers]``.
        width: numbers of every row, where all have the same.
        offsets: where those of each row begin, ``[rows + 1]``; None where all have the same.
    """

    values: np.ndarray
    width: int = 1
    offsets: np.ndarray | None = None

    @classmethod
    def of(cls, targets: Iterable[np.ndarray]) -> Flat:
        """The answers of some rows, which may come one by one."""
        coming, values, sizes = iter(targets), [np.zeros(0, dtype=np.float32)], [np.zeros(0, dtype=np.int32)]
        while batch := list(islice(coming, BATCH)):
            values.append(np.concatenate(batch))
            sizes.append(np.asarray([len(target) for target in batch], dtype=np.int32))
        flat, lengths = np.concatenate(values), np.concatenate(sizes)
        if (lengths == lengths[:1]).all():
            return cls(flat, int(lengths[0]) if len(lengths) else 0)
        return cls(flat, offsets=np.concatenate([[0], np.cumsum(lengths)]))

    def __getitem__(self, row: int) -> np.ndarray:
        if self.offsets is None:
            return self.values[row * self.width : (row + 1) * self.width]
        return self.values[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class Chosen:
    """The answers to some of the rows of others.

    Args:
        targets: all of them.
        rows: those that are meant.
    """

    targets: Targets
    rows: np.ndarray

    def __getitem__(self, row: int) -> np.ndarray:
        return self.targets[int(self.rows[row])]


@dataclass(frozen=True)
class Examples:
    """The rows of one split that are labelled for one task.

    Args:
        task: resolved.
        rows: positions in the tokenised table, ascending, ``[rows]``.
        targets: the encoded answer of each row.
        tokens: the tokenised table, shared by all tasks with the same inputs.
        split: which split of `table` they come from.
        table: the source, for texts and ids.
        groups: the example that each row belongs to, counted from 0 by first appearance, ``[rows]``; None when every
            row is one.
    """

    task: Task
    rows: np.ndarray
    targets: Targets
    tokens: TokenRows
    split: str
    table: Table
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows) if self.groups is None else int(self.groups.max(initial=-1)) + 1

    def target(self, row: int) -> np.ndarray:
        """The encoded answer of one row."""
        return np.asarray(self.targets[row])

    def id(self, row: int) -> str:
        """The id of one row."""
        return str(self.table.splits[self.split][self.tokens.record(int(self.rows[row]))]["__id__"])

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the rows, in order; windows of one passage have the same."""
        records = self.rows if self.tokens.origin is None else self.tokens.origin[self.rows]
        return Cells(column(self.table.splits[self.split], ID), records)

    def find(self, rows: np.ndarray) -> np.ndarray:
        """Where rows of the tokenised table are among these; -1 for those that are not."""
        rows = rows.astype(self.rows.dtype, copy=False)  # or the search would bring all of these to the type of those
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[at] == rows, at, -1) if len(self.rows) else np.full(len(rows), -1)

    def count(self, rows: np.ndarray) -> int:
        """How many of the examples some rows of the tokenised table belong to."""
        found = self.find(rows)
        found = found[found >= 0]
        return len(found) if self.groups is None else len(np.unique(self.groups[found]))

    def records(self) -> list[dict[str, Any]]:
        """The columns of the task at the first row of every example."""
        firsts = self.rows if self.groups is None else self.rows[np.unique(self.groups, return_index=True)[1]]
        dataset = self.table.splits[self.split].select_columns(list(self.task.columns))
        return [dataset[self.tokens.record(int(row))] for row in firsts]

    def part(self, places: slice) -> Examples:
        """Some of the rows, behind one another."""
        targets = Chosen(self.targets, np.arange(*places.indices(len(self.rows))))
        groups = None if self.groups is None else ranks(self.groups[places])
        return replace(self, rows=self.rows[places], targets=targets, groups=groups)

    def take(self, count: int | None, seed: int) -> Examples:
        """At most `count` of the examples, drawn with a seed; the same ones every time."""
        if count is None or count >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        if self.groups is None:
            return replace(self, rows=self.rows[chosen], targets=Chosen(self.targets, chosen))
        rows = np.flatnonzero(np.isin(self.groups, chosen))
        groups = np.searchsorted(chosen, self.groups[rows])
        return replace(self, rows=self.rows[rows], targets=Chosen(self.targets, rows), groups=groups)


def counts(examples: Mapping[str, Examples]) -> dict[str, int]:
    """How many examples every task has."""
    return {task: len(of_task) for task, of_task in examples.items()}
