"""Rows on their way into a chunk: who labels them, and where their units are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from motet.data.encoding import TokenRows
from motet.data.examples import Examples
from motet.data.masking import Hidden, Masking
from motet.tasks.base import Task

__all__ = ["Owner", "Row", "Units"]


@dataclass(frozen=True)
class Units:
    """The units of one row.

    Args:
        count: how many.
        tokens: where they are in the row; None when the row or a text to be written is meant.
        target: the encoded true answer; None at prediction.
    """

    count: int
    tokens: np.ndarray | None
    target: np.ndarray | None


@dataclass(frozen=True)
class Owner:
    """A task that answers a row.

    Args:
        task: resolved.
        at: the position of the row among the examples of the task.
        examples: with the true answers; None at prediction.
    """

    task: Task
    at: int
    examples: Examples | None

    def units(self, row: Row, hidden: Hidden | None) -> Units:
        """The units of the task in the row."""
        level, tokens = self.task.level, row.tokens
        if level == "masked":
            hides = np.zeros(0, dtype=np.int64) if hidden is None else hidden.places
            return Units(len(hides), hides, tokens[hides])
        if level == "next":
            count = max(0, len(tokens) - 1)
            return Units(count, np.arange(count), tokens[1:])
        target = None if self.examples is None else self.examples.target(self.at)
        if level == "sequence":
            return Units(0 if target is None else len(target), None, target)
        words = row.table.words if level == "word" else None
        places = None if words is None else words[row.row]
        count = 1 if places is None else len(places)
        return Units(count, places, None if target is None else self.task.fit(target, count))


@dataclass(frozen=True)
class Row:
    """One row of a token table, with the tasks that answer it."""

    table: TokenRows
    row: int
    owners: Mapping[str, Owner]

    @property
    def tokens(self) -> np.ndarray:
        """Its sub-words."""
        return self.table.tokens[self.row]

    @property
    def types(self) -> np.ndarray | None:
        """The segment of each."""
        return None if self.table.types is None else self.table.types[self.row]

    @property
    def length(self) -> int:
        """Its number of sub-words."""
        return int(self.table.lengths[self.row])

    @property
    def ties(self) -> Iterator[tuple[str, int]]:
        """For every task that ties rows together, its name and the example that this row belongs to."""
        for name, owner in self.owners.items():
            if owner.examples is not None and owner.examples.groups is not None:
                yield name, int(owner.examples.groups[owner.at])

    def hide(self, masking: Masking | None, salt: int) -> Hidden | None:
        """The row with words hidden, if its tasks ask for that; the same for equal salt."""
        share = next(iter(self.owners.values())).task.inputs.hidden  # one for all: they share their inputs
        if not share:
            return None
        if masking is None:
            raise ValueError("words cannot be hidden without a sub-word that stands for them")
        return masking.hide(self.tokens, share, np.random.default_rng([salt, self.row]))
