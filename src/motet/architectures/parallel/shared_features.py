"""Heads read what a column of their own makes of a text, beside what a shared trunk does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.architectures.base import Arrangement
from motet.architectures.columns import Beside, Columned
from motet.architectures.heads import Heads, answering
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["SharedFeatures"]


@register("architecture", "shared_features")
@dataclass(frozen=True, kw_only=True)
class SharedFeatures(Columned):
    """The head of a task reads ``[private; shared]``: its own column's states, and the shared trunk's beside them.

    The trunk reads all rows, and the column of a task, which begins as a copy of the trunk's upper layers, the rows
    of that task. Heads are twice as wide. Tasks that write do so with the trunk alone.

    Source: Liu, Qiu, Huang 2016, "Deep Multi-Task Learning with Shared Memory for Text Classification".

    Relations:
        `GatedFusion` weighs the two against each other instead of reading both.

    Example:
        >>> SharedFeatures(shared_layers=6).pooling
        'auto'
    """

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return len(answering(tasks))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        widths = dict.fromkeys(tasks, 2 * trunk.width)
        heads = Heads(trunk, tasks, pooling=self.pooling, dropout=self.dropout, widths=widths)
        return _SharedFeatures(trunk, heads, tasks, self.shared_layers)


class _SharedFeatures(Beside):
    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        private = self.columns.read(task, self.trunk, part)
        return torch.cat([private.last, read.last], dim=-1)
