"""Where training rows come from: every row once an epoch, in windows of similar length.

A stream serves the tasks that read the same rows of the same table. It owns its generator, and its state is small
enough to be saved with every checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from motet.data.corpus import Corpus
from motet.data.examples import Examples
from motet.data.shuffles import Shuffle
from motet.data.ties import bundles

__all__ = ["Stream", "streams_of"]


class Stream:
    """Draws examples without replacement, neighbours in length together.

    A window of examples is taken from the permutation of the epoch and sorted by length; every draw takes a run of
    neighbours from a random place of what is left of the window. A window may reach into the next epoch.

    Args:
        tasks: the tasks that these rows serve.
        rows: positions in the token table, ``[rows]``.
        lengths: sub-words of each of them, ``[rows]``.
        seed: of the stream's own generator.
        window: examples in a window, at most an epoch; more means less padding and a coarser shuffle.
        groups: the example that each row belongs to, counted from 0, ``[rows]``; None when every row is one.

    Example:
        >>> stream = Stream(("a",), np.arange(4), np.array([9, 1, 8, 2]), seed=0, window=4)
        >>> sorted(np.concatenate([stream.draw(2), stream.draw(2)]).tolist())
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        tasks: tuple[str, ...],
        rows: np.ndarray,
        lengths: np.ndarray,
        *,
        seed: int,
        window: int,
        groups: np.ndarray | None = None,
    ) -> None:
        self.tasks = tasks
        self._bundles = _Bundles(rows, lengths, groups)
        self.window = min(window, len(self))
        self.mean_length = float(lengths.sum() / len(self))
        self._seed = seed
        self._random = np.random.default_rng([seed, 1])
        self._left = np.zeros(0, dtype=np.int64)
        self._drawn = 0
        self._shuffle: tuple[int, Shuffle] = (0, Shuffle(len(self), seed, 0))

    def __len__(self) -> int:
        return len(self._bundles.lengths)

    @property
    def name(self) -> str:
        """The tasks, joined."""
        return "+".join(self.tasks)

    def draw(self, count: int) -> np.ndarray:
        """The rows of the next `count` examples, as positions in the token table."""
        parts = []
        while count > 0:
            if not len(self._left):
                self._left = self._next_window()
            taken = min(count, len(self._left))
            start = int(self._random.integers(len(self._left) - taken + 1))
            parts.append(self._left[start : start + taken])
            self._left = np.delete(self._left, slice(start, start + taken))
            count -= taken
        return self._bundles.rows(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)

    def some(self, count: int, random: np.random.Generator) -> np.ndarray:
        """The rows of some examples, drawn by a generator from outside; the stream stays where it is."""
        return self._bundles.rows(np.sort(random.choice(len(self), min(count, len(self)), replace=False)))

    def _next_window(self) -> np.ndarray:
        epochs, places = np.divmod(self._drawn + np.arange(self.window), len(self))
        parts = [self._shuffled(int(epoch)).at(places[epochs == epoch]) for epoch in np.unique(epochs)]
        positions = np.concatenate(parts)
        self._drawn += self.window
        return positions[np.argsort(self._bundles.lengths[positions], kind="stable")]

    def _shuffled(self, epoch: int) -> Shuffle:
        if self._shuffle[0] != epoch:
            self._shuffle = (epoch, Shuffle(len(self), self._seed, epoch))
        return self._shuffle[1]

    def state(self) -> dict[str, Any]:
        """All that is needed to go on from here, as plain data."""
        return {"drawn": self._drawn, "left": self._left.tolist(), "random": self._random.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._drawn = int(state["drawn"])
        self._left = np.asarray(state["left"], dtype=np.int64)
        self._random.bit_generator.state = state["random"]


class _Bundles:
    """Rows that are drawn together; `lengths` is the mean length of the rows of each bundle."""

    def __init__(self, rows: np.ndarray, lengths: np.ndarray, groups: np.ndarray | None) -> None:
        if groups is None:
            self._rows, self._starts, self.lengths = rows, None, lengths
            return
        order = np.argsort(groups, kind="stable")
        sizes = np.bincount(groups)
        self._rows = rows[order]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self.lengths = np.bincount(groups, weights=lengths) / sizes

    def rows(self, bundles: np.ndarray) -> np.ndarray:
        if self._starts is None:
            return np.asarray(self._rows[bundles])
        return np.concatenate([self._rows[self._starts[b] : self._starts[b + 1]] for b in bundles])


def streams_of(corpus: Corpus, seed: int, window: int = 512) -> list[Stream]:
    """One stream for every set of training rows.

    Tasks that read the same rows share one, unless they tie them together in different ways.
    """
    groups: dict[Any, list[str]] = {}
    ties = _ties(corpus)
    for name in corpus.tasks:
        groups.setdefault((_place(corpus, name), ties[name]), []).append(name)
    return [_stream(corpus, names, seed + 7919 * index, window) for index, names in enumerate(groups.values())]


def _place(corpus: Corpus, name: str) -> tuple[Any, ...]:
    where = tuple(sorted((column, repr(value)) for column, value in corpus.tasks[name].where.items()))
    return corpus.keys[name], where


def _ties(corpus: Corpus) -> dict[str, str]:
    """The column that ties the rows of each task; a task without one goes with the first that reads its rows."""
    first: dict[Any, str] = {}
    for name, task in corpus.tasks.items():
        if task.group:
            first.setdefault(_place(corpus, name), task.group)
    return {name: task.group or first.get(_place(corpus, name), "") for name, task in corpus.tasks.items()}


def _stream(corpus: Corpus, names: Sequence[str], seed: int, window: int) -> Stream:
    train = {name: corpus.examples("train")[name] for name in names}
    rows = reduce(_union, [examples.rows for examples in train.values()])
    tied = [examples for examples in train.values() if examples.groups is not None]
    groups = _bundled(rows, tied) if tied else None
    lengths = train[names[0]].tokens.lengths
    of_rows = lengths if len(rows) == len(lengths) else lengths[rows]
    return Stream(tuple(names), rows, of_rows, seed=seed, window=window, groups=groups)


def _union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one if np.array_equal(one, other) else np.union1d(one, other)


def _bundled(rows: np.ndarray, tied: Sequence[Examples]) -> np.ndarray:
    """The bundle of every row; a row that no task ties is drawn alone."""
    ties = []
    for examples in tied:
        at = examples.find(rows)
        here = np.flatnonzero(at >= 0)
        assert examples.groups is not None
        ties.append((here, examples.groups[at[here]]))
    return bundles(len(rows), ties)
