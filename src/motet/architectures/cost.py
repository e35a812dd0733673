"""What an architecture costs: parameters shared and own, and multiply-adds of a text for each task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from motet.architectures.base import Arrangement
from motet.data.batches import Chunk, Owned
from motet.tasks.base import Task

__all__ = ["multiply_adds", "parameters", "row_of"]


def parameters(arrangement: Arrangement, tasks: Iterable[str]) -> dict[str, Any]:
    """Parameters `shared` by tasks, those of each task's `own`, and how many of all are `trained`.

    Args:
        arrangement: of the model.
        tasks: their names.
    """
    own = {task: sum(p.numel() for p in arrangement.own_parameters(task)) for task in tasks}
    shared = sum(p.numel() for p in arrangement.parameters()) - sum(own.values())
    trained = sum(p.numel() for p in arrangement.parameters() if p.requires_grad)
    return {"shared": shared, "own": own, "trained": trained}


def multiply_adds(arrangement: Arrangement, task: Task, length: int = 64) -> int:
    """Multiplications, each with an addition, that one text takes on its way to the answer of one task.

    Products of matrices are counted, as torch's `FlopCounterMode` does: attention scores only where the attention of
    the encoder is one that torch can count (`eager`), which is a few percent at this length. Answers that are written
    count as ten sub-words.

    Args:
        arrangement: of the model.
        task: answered for one row.
        length: sub-words of the row.
    """
    training = arrangement.training
    arrangement.eval()
    try:
        with FlopCounterMode(display=False) as counter:  # which trips over views where gradients are off
            arrangement(row_of(task, length, next(arrangement.parameters()).device))
    finally:
        arrangement.train(training)
    return int(counter.get_total_flops()) // 2


def row_of(task: Task, length: int, device: torch.device | str = "cpu") -> Chunk:
    """One row of a task, all of the same sub-word."""
    tokens = torch.full((1, length), 5, device=device)
    units, target, words = 1, None, None
    if task.level in ("word", "masked", "next"):
        units = length - 2 if task.level == "word" else 10
        at = torch.arange(1, units + 1, device=device)
        words = torch.stack([torch.zeros_like(at), at])
    if task.level == "sequence":
        units, target = 10, torch.full((10,), 5, device=device)
    owned = Owned(torch.zeros(1, dtype=torch.long, device=device), words, np.array([units]), np.zeros(1), target)
    return Chunk(tokens, torch.ones_like(tokens), None, {task.name: owned}, length)
