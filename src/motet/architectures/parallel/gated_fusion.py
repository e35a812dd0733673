"""A gate weighs what a column of a task makes of a text against what a shared trunk does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.columns import Beside, Columned
from motet.architectures.heads import Heads, answering, key
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Gate", "GatedFusion"]


@register("architecture", "gated_fusion")
@dataclass(frozen=True, kw_only=True)
class GatedFusion(Columned):
    """A gate for each task mixes its own column's states with the shared trunk's, feature by feature.

    ``h = g * h_t + (1 - g) * h_s`` with ``g = sigmoid(W [h_t; h_s])``, at every sub-word. The trunk reads all rows,
    and the column of a task, which begins as a copy of the trunk's upper layers, the rows of that task. Tasks that
    write do so with the trunk alone.

    Source: Lan et al. 2017, "Multi-task Attention-based Neural Networks for Implicit Discourse Relationship
    Representation and Identification"; Dankers et al. 2019, "Modelling the interplay of metaphor and emotion through
    multitask learning".

    Relations:
        `SharedFeatures` hands both to the head; `LeakyUnits` has gates between the columns of tasks, and no shared
        one.

    Example:
        >>> GatedFusion(shared_layers=6).dropout
        0.1
    """

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return len(answering(tasks))

    def more(self, tasks: Mapping[str, Task], trunk: Trunk) -> int:
        return self.copies(tasks) * (2 * trunk.width + 1) * trunk.width

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _GatedFusion(self, trunk, tasks)


class _GatedFusion(Beside):
    def __init__(self, part: GatedFusion, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        heads = Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout)
        super().__init__(trunk, heads, tasks, part.shared_layers)
        self.gates = nn.ModuleDict({key(name): Gate(trunk.width) for name in self.columns.names})

    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        mixed: Tensor = self.gates[key(task)](self.columns.read(task, self.trunk, part).last, read.last)
        return mixed

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.gates:
            yield from self.gates[key(task)].parameters()


class Gate(nn.Module):
    """``g * one + (1 - g) * other`` with ``g = sigmoid(W [one; other])``.

    Args:
        width: of the states.

    Example:
        >>> gate = Gate(2)
        >>> _ = nn.init.zeros_(gate.linear.weight), nn.init.zeros_(gate.linear.bias)
        >>> gate(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])).tolist()
        [1.0, 2.0]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * width, width)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """States ``[..., width]`` between two others."""
        g = torch.sigmoid(self.linear(torch.cat([one, other], dim=-1)))
        return other + g * (one - other)
