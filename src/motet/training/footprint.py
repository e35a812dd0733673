"""How large the soft labels of a task will be, told before anything is recorded."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from motet.data.examples import Examples
from motet.data.rows import column
from motet.tasks.base import Task

__all__ = ["bytes_per_token", "soft_label_bytes"]

_NUMBER = 4  # float32
_PLACES = 8 + 4  # where the numbers and where the id of a row begin
_FRAME = 1100  # what Arrow writes around all rows


def soft_label_bytes(examples: Examples, vocabulary: int) -> int | None:
    """Bytes of the file that recording a task would write; None if it cannot be recorded.

    Args:
        examples: of the training split.
        vocabulary: sub-words that a model can say.
    """
    task, tokens = examples.task, examples.tokens
    if not task.recordable:
        return None
    records = examples.rows if tokens.origin is None else tokens.origin[examples.rows]
    ids = column(examples.table.splits[examples.split], "__id__").take(records)
    names = pc.sum(pc.binary_length(ids)).as_py() or 0
    return _FRAME + _PLACES * len(records) + names + _NUMBER * task.soft_width(vocabulary) * _units(examples)


def bytes_per_token(task: Task, vocabulary: int) -> int | None:
    """Bytes that are recorded for every sub-word; None for tasks that do not say any."""
    return _NUMBER * task.soft_width(vocabulary) if task.recordable and not task.outputs else None


def _units(examples: Examples) -> int:
    level, tokens, rows = examples.task.level, examples.tokens, examples.rows
    if level == "word" and tokens.words is not None:
        return int(tokens.words.lengths[rows].sum())
    if level == "next":
        return int((tokens.lengths[rows] - 1).sum())
    if level == "sequence":
        return sum(len(examples.target(row)) for row in range(len(rows)))
    return int(np.size(rows))
