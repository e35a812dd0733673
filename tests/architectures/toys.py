"""Tasks and rows on which architectures are tried: rows of several tasks, of one, and of none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from motet.data.batches import Chunk, Owned
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

__all__ = ["CHUNK", "TASKS", "chunk", "owned", "some"]

TASKS: dict[str, Task] = {
    "mood": Classification("mood", source="s", classes=("a", "b", "c")),
    "count": Regression("count", source="s", mean=0.0, scale=1.0),
    "tags": Tagging("tags", source="s", classes=("O", "B", "I"), outside="O"),
}


def owned(*rows: int, words: Sequence[tuple[int, int]] | None = None) -> Owned:
    """Rows of a task, and the row and the token of every word for a task that answers words."""
    at = None if words is None else torch.tensor(words).T.contiguous()
    lengths = [1] * len(rows) if words is None else [sum(row == word[0] for word in words) for row in rows]
    return Owned(torch.tensor(rows), at, np.asarray(lengths), np.arange(len(rows)))


def chunk(**tasks: Owned) -> Chunk:
    """Four rows, three of them padded."""
    tokens = torch.tensor([[2, 9, 10, 11, 3], [2, 11, 9, 3, 0], [2, 12, 3, 0, 0], [2, 14, 3, 0, 0]])
    return Chunk(tokens, (tokens > 0).long(), None, tasks, int((tokens > 0).sum()))


CHUNK = chunk(
    mood=owned(0, 1, 2),
    count=owned(1, 3),
    tags=owned(0, 2, words=[(0, 1), (0, 2), (0, 3), (2, 1)]),
)


def some(whole: Chunk, rows: Sequence[int], length: int) -> Chunk:
    """Some rows of a chunk, cut to a length, each task with those of its own that are left."""
    kept: dict[str, Any] = {}
    for name, own in whole.owned.items():
        left = [row for row in own.rows.tolist() if row in rows]
        if left:
            words = None
            if own.words is not None:
                pairs = [(rows.index(r), t) for r, t in own.words.T.tolist() if r in left]
                words = sorted(pairs, key=lambda pair: [rows.index(r) for r in left].index(pair[0]))
            kept[name] = owned(*sorted(rows.index(row) for row in left), words=None if words is None else sorted(words))
    tokens, mask = whole.tokens[list(rows), :length], whole.mask[list(rows), :length]
    return Chunk(tokens, mask, None, kept, int(mask.sum()))
