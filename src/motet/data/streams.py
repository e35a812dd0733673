"""Where training rows come from: every row once an epoch, in windows of similar length.

A stream serves the tasks that read the same rows of the same table. It owns its generator, and its state is small
enough to be saved with every checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from motet.data.corpus import Corpus

__all__ = ["Stream", "streams_of"]


class Stream:
    """Draws rows without replacement, neighbours in length together.

    A window of rows is taken from the permutation of the epoch and sorted by length; every draw takes a run of
    neighbours from a random place of what is left of the window. A window may reach into the next epoch.

    Args:
        tasks: the tasks that these rows serve.
        rows: positions in the token table, ``[examples]``.
        lengths: sub-words of each of them, ``[examples]``.
        seed: of the stream's own generator.
        window: rows in a window, at most an epoch; more means less padding and a coarser shuffle.

    Example:
        >>> stream = Stream(("a",), np.arange(4), np.array([9, 1, 8, 2]), seed=0, window=4)
        >>> sorted(np.concatenate([stream.draw(2), stream.draw(2)]).tolist())
        [0, 1, 2, 3]
    """

    def __init__(
        self, tasks: tuple[str, ...], rows: np.ndarray, lengths: np.ndarray, *, seed: int, window: int
    ) -> None:
        self.tasks = tasks
        self.rows = rows
        self.window = min(window, len(rows))
        self.mean_length = float(lengths.mean())
        self._lengths = lengths
        self._seed = seed
        self._random = np.random.default_rng([seed, 1])
        self._left = np.zeros(0, dtype=np.int64)
        self._drawn = 0
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    @property
    def name(self) -> str:
        """The tasks, joined."""
        return "+".join(self.tasks)

    def draw(self, count: int) -> np.ndarray:
        """The next `count` rows, as positions in the token table."""
        parts = []
        while count > 0:
            if not len(self._left):
                self._left = self._next_window()
            taken = min(count, len(self._left))
            start = int(self._random.integers(len(self._left) - taken + 1))
            parts.append(self._left[start : start + taken])
            self._left = np.delete(self._left, slice(start, start + taken))
            count -= taken
        return np.asarray(self.rows[np.concatenate(parts)]) if parts else np.zeros(0, dtype=np.int64)

    def _next_window(self) -> np.ndarray:
        positions = np.asarray([self._at(self._drawn + i) for i in range(self.window)])
        self._drawn += self.window
        return positions[np.argsort(self._lengths[positions], kind="stable")]

    def _at(self, index: int) -> int:
        epoch, place = divmod(index, len(self.rows))
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, 2, epoch]).permutation(len(self.rows)))
        return int(self._order[1][place])

    def state(self) -> dict[str, Any]:
        """All that is needed to go on from here, as plain data."""
        return {"drawn": self._drawn, "left": self._left.tolist(), "random": self._random.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._drawn = int(state["drawn"])
        self._left = np.asarray(state["left"], dtype=np.int64)
        self._random.bit_generator.state = state["random"]


def streams_of(corpus: Corpus, seed: int, window: int = 512) -> list[Stream]:
    """One stream for every set of training rows; tasks that read the same rows share one."""
    groups: dict[Any, list[str]] = {}
    for name, task in corpus.tasks.items():
        where = tuple(sorted((column, repr(value)) for column, value in task.where.items()))
        groups.setdefault((corpus.keys[name], where), []).append(name)
    return [_stream(corpus, names, seed + 7919 * index, window) for index, names in enumerate(groups.values())]


def _stream(corpus: Corpus, names: Sequence[str], seed: int, window: int) -> Stream:
    train = corpus.examples("train")
    rows = np.unique(np.concatenate([train[name].rows for name in names]))
    lengths = train[names[0]].tokens.lengths[rows]
    return Stream(tuple(names), rows, lengths, seed=seed, window=window)
