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

from motet.data.encoding import TokenRows
from motet.data.examples import Examples
from motet.data.mapping import trim
from motet.data.masking import Hidden, Masking
from motet.data.ties import bundles
from motet.data.units import Owner, Row
from motet.tasks.base import Task

__all__ = ["Chunk", "Owned", "Padding", "collate", "cut", "reading_chunks", "training_chunks"]


@dataclass(frozen=True)
class Owned:
    """What one task has in a chunk.

    Args:
        rows: which rows of the chunk belong to the task, ``[rows]``.
        words: where units are tokens of a row, the row and the token of every unit, ``[2, units]``.
        lengths: units of every row, ``[rows]``.
        examples: the positions of the rows among those of the task's `Examples`, ``[rows]``.
        target: encoded true answers of all rows, one after the other; None at prediction.
        groups: the example that each row belongs to, ``[rows]``; None when every row is one.
    """

    rows: Tensor
    words: Tensor | None
    lengths: np.ndarray
    examples: np.ndarray
    target: Tensor | None = None
    groups: np.ndarray | None = None

    def among(self, rows: Tensor) -> Owned:
        """The same, once only these rows are left of the chunk, ``[rows]`` in rising order."""
        words = self.words
        if words is not None:
            words = torch.stack([torch.searchsorted(rows, words[0]), words[1]])
        return replace(self, rows=torch.searchsorted(rows, self.rows), words=words)


@dataclass(frozen=True)
class Chunk:
    """Rows of similar length: one pass of the encoder.

    Args:
        tokens: ``[rows, length]``.
        mask: 1 where there is a token, ``[rows, length]``.
        types: segment of every token, ``[rows, length]``, or None.
        owned: by task.
        real: tokens that are not padding.
        shard: which of the processes is to read it.
    """

    tokens: Tensor
    mask: Tensor
    types: Tensor | None
    owned: Mapping[str, Owned]
    real: int
    shard: int = 0

    @property
    def padded(self) -> int:
        """Tokens, padding included."""
        return self.tokens.numel()

    def part(self, *tasks: str) -> Chunk:
        """The rows of some tasks alone."""
        owned = [self.owned[task] for task in tasks]
        rows = owned[0].rows if len(owned) == 1 else torch.unique(torch.cat([own.rows for own in owned]))
        left = {task: own.among(rows) for task, own in zip(tasks, owned, strict=True)}
        types = None if self.types is None else self.types[rows]
        mask = self.mask[rows]
        return Chunk(self.tokens[rows], mask, types, left, int(mask.sum()))

    def to(self, device: torch.device) -> Chunk:
        """The same chunk on a device."""
        move = _mover(device)
        owned = {
            name: replace(own, rows=own.rows.to(device), words=move(own.words), target=move(own.target))
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
        masking: how sub-words are hidden, where some task asks for it.
    """

    pad: int
    largest: int = 4096
    overhead: int = 32
    masking: Masking | None = None


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


def training_chunks(
    drawn: Sequence[tuple[Mapping[str, Examples], np.ndarray]],
    padding: Padding,
    *,
    shards: int = 1,
    salt: int = 0,
    apart: bool = False,
) -> list[Chunk]:
    """The chunks of one step.

    Args:
        drawn: for every stream, the examples of its live tasks and the table rows drawn. Each row goes to all tasks
            that label it.
        padding: how chunks are cut.
        shards: processes that share the work; rows of one example go to the same.
        salt: of what is hidden in this step.
        apart: whether rows that different tasks label lie in chunks of their own, so that the backward pass of a task
            runs through its own rows alone.
    """
    rows = [row for owners, positions in drawn for row in _labelled(owners, positions)]
    chunks = []
    for shard, part in enumerate(_dealt(rows, shards)):
        for group in _by_owners(part) if apart else [part]:
            group.sort(key=lambda row: -row.length)
            lengths = np.asarray([row.length for row in group], dtype=np.int64)
            chunks += [_chunk(group[piece], padding, shard, salt) for piece in cut(lengths, padding)]
    trim()
    return chunks


def _by_owners(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows in parts, each of which the same tasks label."""
    parts: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        parts.setdefault(tuple(row.owners), []).append(row)
    return list(parts.values())


def reading_chunks(
    tokens: TokenRows,
    rows: np.ndarray,
    tasks: Mapping[str, Task],
    padding: Padding,
    examples: Mapping[str, Examples] | None = None,
) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Chunks for one pass over some rows, longest first.

    Args:
        tokens: the token table.
        rows: positions in it.
        tasks: those that answer.
        padding: how many tokens go into a chunk.
        examples: each task answers the rows it has here, with their true answers beside, and rows that no task has are
            left out; without, all tasks answer all rows.

    Yields:
        A chunk, and which rows are in it.
    """
    owners = {} if examples is None else {name: examples[name] for name in tasks}
    if owners:
        rows = rows[np.any([of_task.find(rows) >= 0 for of_task in owners.values()], axis=0)]
    every = {name: Owner(task, 0, None) for name, task in tasks.items()}
    order = rows[np.argsort(-tokens.lengths[rows], kind="stable")]
    for piece in _blocks(tokens.lengths[order], padding.largest):
        here = order[piece]
        read = _labelled(owners, here) if owners else (Row(tokens, int(row), every) for row in here)
        yield _chunk(list(read), padding, 0, 0), here
        trim()


def _labelled(owners: Mapping[str, Examples], positions: np.ndarray) -> Iterator[Row]:
    """Rows of a token table with the tasks that label them; rows that none does are left out."""
    found = {name: examples.find(positions) for name, examples in owners.items()}
    tokens = next(iter(owners.values())).tokens
    for place, row in enumerate(positions):
        mine = {
            name: Owner(examples.task, int(found[name][place]), examples)
            for name, examples in owners.items()
            if found[name][place] >= 0
        }
        if mine:
            yield Row(tokens, int(row), mine)


def _dealt(rows: list[Row], shards: int) -> list[list[Row]]:
    """The rows in parts of about equal length."""
    if shards == 1:
        return [rows]
    ties: dict[str, tuple[list[int], list[int]]] = {}
    for place, row in enumerate(rows):
        for name, group in row.ties:
            of_task = ties.setdefault(name, ([], []))
            of_task[0].append(place)
            of_task[1].append(group)
    bundle = bundles(len(rows), [(np.asarray(places), np.asarray(groups)) for places, groups in ties.values()])
    lengths = np.asarray([row.length for row in rows])
    sizes = np.bincount(bundle, weights=lengths)
    shard_of, loads = np.zeros(len(sizes), dtype=np.int64), np.zeros(shards)
    for heaviest in np.argsort(-sizes, kind="stable"):
        shard_of[heaviest] = int(loads.argmin())
        loads[shard_of[heaviest]] += sizes[heaviest]
    return [[row for row, of in zip(rows, shard_of[bundle], strict=True) if of == shard] for shard in range(shards)]


def _chunk(rows: Sequence[Row], padding: Padding, shard: int, salt: int) -> Chunk:
    hidden = [row.hide(padding.masking, salt) for row in rows]
    shown = [row.tokens if mask is None else mask.shown for row, mask in zip(rows, hidden, strict=True)]
    types = [row.types for row in rows]
    tokens, mask, segments = _pad(shown, None if all(t is None for t in types) else types, padding.pad)
    names = dict.fromkeys(name for row in rows for name in row.owners)
    owned = {name: _owned(name, rows, hidden) for name in names}
    return Chunk(tokens, mask, segments, owned, sum(row.length for row in rows), shard)


def _owned(name: str, rows: Sequence[Row], hidden: Sequence[Hidden | None]) -> Owned:
    mine = [place for place, row in enumerate(rows) if name in row.owners]
    owners = [rows[place].owners[name] for place in mine]
    units = [owner.units(rows[place], hidden[place]) for place, owner in zip(mine, owners, strict=True)]
    at = np.asarray([owner.at for owner in owners])
    examples = owners[0].examples
    words = [
        np.stack([np.full(unit.count, p), unit.tokens])
        for p, unit in zip(mine, units, strict=True)
        if unit.tokens is not None
    ]
    targets = [unit.target for unit in units if unit.target is not None]
    return Owned(
        rows=torch.tensor(mine),
        words=torch.from_numpy(np.concatenate(words, axis=1)).long() if words else None,
        lengths=np.asarray([unit.count for unit in units]),
        examples=at,
        target=torch.from_numpy(np.concatenate(targets)) if targets else None,
        groups=None if examples is None or examples.groups is None else examples.groups[at],
    )


def _blocks(lengths: np.ndarray, largest: int) -> Iterator[slice]:
    start = 0
    while start < len(lengths):
        size = max(1, largest // max(1, int(lengths[start])))
        yield slice(start, start + size)
        start += size
