"""Batches: token rows once, and per task which rows it owns and their labels.

The rows of a step are sorted by length and cut into chunks of similar length, so that a short row is never padded to
a long one. Every chunk is one pass of the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from motet.data.corpus import Examples
from motet.data.encoding import TokenRows

__all__ = ["Chunk", "Owned", "Padding", "collate", "cut", "reading_chunks", "training_chunks"]


@dataclass(frozen=True)
class Owned:
    """What one task has in a chunk.

    Args:
        rows: which rows of the chunk belong to the task, ``[rows]``.
        words: for tasks that answer words, row and token position of every unit, ``[2, units]``.
        lengths: units of every row, ``[rows]``.
        examples: their positions among the task's examples, ``[rows]``.
        target: encoded true answers, ``[units]``; None at prediction.
        teacher: recorded logits, ``[units, outputs]``; None while the task learns from true labels.
    """

    rows: Tensor
    words: Tensor | None
    lengths: np.ndarray
    examples: np.ndarray
    target: Tensor | None = None
    teacher: Tensor | None = None


@dataclass(frozen=True)
class Chunk:
    """Rows of similar length: one pass of the encoder.

    Args:
        tokens: ``[rows, length]``.
        mask: 1 where there is a token, ``[rows, length]``.
        types: segment of every token, ``[rows, length]``, or None.
        owned: by task.
        real: tokens that are not padding.
    """

    tokens: Tensor
    mask: Tensor
    types: Tensor | None
    owned: Mapping[str, Owned]
    real: int

    @property
    def padded(self) -> int:
        """Tokens, padding included."""
        return self.tokens.numel()

    def part(self, task: str) -> Chunk:
        """The rows of one task alone."""
        own = self.owned[task]
        words = own.words
        if words is not None:
            words = torch.stack([torch.searchsorted(own.rows, words[0]), words[1]])
        alone = replace(own, rows=torch.arange(len(own.rows), device=own.rows.device), words=words)
        types = None if self.types is None else self.types[own.rows]
        mask = self.mask[own.rows]
        return Chunk(self.tokens[own.rows], mask, types, {task: alone}, int(mask.sum()))

    def to(self, device: torch.device) -> Chunk:
        """The same chunk on a device."""
        move = _mover(device)
        owned = {
            name: replace(
                own, rows=own.rows.to(device), words=move(own.words), target=move(own.target), teacher=move(own.teacher)
            )
            for name, own in self.owned.items()
        }
        return replace(
            self, tokens=self.tokens.to(device), mask=self.mask.to(device), types=move(self.types), owned=owned
        )


def _mover(device: torch.device) -> Callable[[Tensor | None], Tensor | None]:
    return lambda tensor: None if tensor is None else tensor.to(device)


@dataclass(frozen=True)
class Padding:
    """How rows are put together into chunks.

    Args:
        pad: id of the padding token.
        largest: most tokens in a chunk, padding included; a longer single row is a chunk by itself.
        overhead: what one more chunk costs, in tokens; fewer chunks mean more padding.
    """

    pad: int
    largest: int = 4096
    overhead: int = 32


def cut(lengths: np.ndarray, padding: Padding) -> list[slice]:
    """Cut rows sorted by length, longest first, where padding plus overhead are least.

    Example:
        >>> cut(np.array([9, 9, 2, 2]), Padding(pad=0, overhead=4))
        [slice(0, 2, None), slice(2, 4, None)]
    """
    cost = np.zeros(len(lengths) + 1)
    came_from = np.zeros(len(lengths) + 1, dtype=np.int64)
    for end in range(1, len(lengths) + 1):
        starts = np.arange(end)
        size = lengths[:end] * (end - starts)
        total = np.where((size <= padding.largest) | (starts == end - 1), cost[:end] + size + padding.overhead, np.inf)
        came_from[end] = int(total.argmin())
        cost[end] = total[came_from[end]]
    pieces = []
    end = len(lengths)
    while end > 0:
        pieces.append(slice(int(came_from[end]), end))
        end = int(came_from[end])
    return pieces[::-1]


def collate(table: TokenRows, rows: Sequence[int] | np.ndarray, pad: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Token ids, mask and segments of some rows, padded to the longest of them."""
    pieces = [table.tokens[int(row)] for row in rows]
    types = None if table.types is None else [table.types[int(row)] for row in rows]
    return _pad(pieces, types, pad)


def _pad(
    pieces: Sequence[np.ndarray], types: Sequence[np.ndarray | None] | None, pad: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    shape = (len(pieces), max(map(len, pieces)))
    tokens = np.full(shape, pad, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    segments = None if types is None else np.zeros(shape, dtype=np.int64)
    for row, piece in enumerate(pieces):
        tokens[row, : len(piece)] = piece
        mask[row, : len(piece)] = 1
        kinds = None if types is None else types[row]
        if segments is not None and kinds is not None:
            segments[row, : len(kinds)] = kinds
    return (
        torch.from_numpy(tokens),
        torch.from_numpy(mask),
        None if segments is None else torch.from_numpy(segments),
    )


@dataclass(frozen=True)
class _Row:
    table: TokenRows
    row: int
    owners: tuple[tuple[str, Examples, int], ...]

    @property
    def length(self) -> int:
        return int(self.table.lengths[self.row])


def training_chunks(drawn: Sequence[tuple[Mapping[str, Examples], np.ndarray]], padding: Padding) -> list[Chunk]:
    """The chunks of one step.

    Args:
        drawn: for every stream, the examples of its live tasks and the table rows drawn. Each row goes to all tasks
            that label it.
        padding: how chunks are cut.
    """
    rows = [_row(owners, int(row)) for owners, positions in drawn for row in positions]
    rows = sorted((row for row in rows if row.owners), key=lambda row: -row.length)
    lengths = np.asarray([row.length for row in rows], dtype=np.int64)
    return [_chunk(rows[piece], padding) for piece in cut(lengths, padding)]


def _row(owners: Mapping[str, Examples], row: int) -> _Row:
    found = []
    for name, examples in owners.items():
        at = int(np.searchsorted(examples.rows, row))
        if at < len(examples.rows) and examples.rows[at] == row:
            found.append((name, examples, at))
    table = next(iter(owners.values())).tokens
    return _Row(table, row, tuple(found))


def _chunk(rows: Sequence[_Row], padding: Padding) -> Chunk:
    pieces = [row.table.tokens[row.row] for row in rows]
    types = [None if row.table.types is None else row.table.types[row.row] for row in rows]
    tokens, mask, segments = _pad(pieces, None if all(t is None for t in types) else types, padding.pad)
    names = dict.fromkeys(name for row in rows for name, _, _ in row.owners)
    owned = {name: _owned(name, rows) for name in names}
    return Chunk(tokens, mask, segments, owned, sum(map(len, pieces)))


def _owned(name: str, rows: Sequence[_Row]) -> Owned:
    mine = [
        (place, row, examples, at)
        for place, row in enumerate(rows)
        for owner, examples, at in row.owners
        if owner == name
    ]
    targets, words = [], []
    for place, row, examples, at in mine:
        target = examples.target(at)
        if row.table.words is not None:
            first = row.table.words[row.row]
            target = target[: len(first)]
            words.append(np.stack([np.full(len(first), place), first]))
        targets.append(target)
    return Owned(
        rows=torch.tensor([place for place, *_ in mine]),
        words=torch.from_numpy(np.concatenate(words, axis=1)).long() if words else None,
        lengths=np.asarray([len(target) for target in targets]),
        examples=np.asarray([at for *_, at in mine]),
        target=torch.from_numpy(np.concatenate(targets)),
    )


def reading_chunks(
    tokens: TokenRows, rows: np.ndarray, levels: Mapping[str, str], padding: Padding
) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Chunks for one pass without labels over some rows, longest first, each row answered for every task.

    Args:
        tokens: the token table.
        rows: positions in it.
        levels: the tasks that answer, with the level of their units ("text" or "word").
        padding: how many tokens go into a chunk.

    Yields:
        A chunk, and which rows are in it.
    """
    order = rows[np.argsort(-tokens.lengths[rows], kind="stable")]
    for piece in _blocks(tokens.lengths[order], padding.largest):
        here = order[piece]
        ids, mask, types = collate(tokens, here, padding.pad)
        every = torch.arange(len(here))
        owned = {
            name: Owned(every, *_units(tokens, here, level), np.arange(len(here))) for name, level in levels.items()
        }
        yield Chunk(ids, mask, types, owned, int(tokens.lengths[here].sum())), here


def _units(tokens: TokenRows, rows: np.ndarray, level: str) -> tuple[Tensor | None, np.ndarray]:
    if level == "text" or tokens.words is None:
        return None, np.ones(len(rows), dtype=np.int64)
    firsts = [tokens.words[int(row)] for row in rows]
    places = np.repeat(np.arange(len(rows)), list(map(len, firsts)))
    return torch.from_numpy(np.stack([places, np.concatenate(firsts)])).long(), np.asarray(list(map(len, firsts)))


def _blocks(lengths: np.ndarray, largest: int) -> Iterator[slice]:
    start = 0
    while start < len(lengths):
        size = max(1, largest // max(1, int(lengths[start])))
        yield slice(start, start + size)
        start += size
