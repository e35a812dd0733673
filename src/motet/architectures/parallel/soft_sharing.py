"""Layers for each task, drawn to those of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from motet.architectures.base import Arrangement
from motet.architectures.columns import Columned, of_column
from motet.architectures.heads import Heads
from motet.architectures.parallel.group_trunks import Grouped
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["LayerwiseSoftSharing", "distance"]


@register("architecture", "soft_sharing")
@dataclass(frozen=True, kw_only=True)
class LayerwiseSoftSharing(Columned):
    """Every task has layers of its own, which a penalty on their distance draws together.

    Each begins with a copy of the trunk's layers and reads its own rows alone. To the losses is added
    ``gamma * sum(||theta_a - theta_b||)``: the sum is over the chosen layers, `theta` being all weights of one, and
    the penalty is its mean over pairs of tasks. The trunk's own layers are those of the first task.

    Source: Guo, Pasunuru, Bansal 2018, "Soft Layer-Specific Multi-Task Summarization with Entailment and Question
    Generation"; with the squared distance: Duong et al. 2015, "Low Resource Dependency Parsing: Cross-lingual
    Parameter Sharing in a Neural Network Parser".

    Args:
        gamma: weight of the penalty, which is logged as `layer_distance`; 0 leaves it out.
        squared: take the squared distance, which draws harder the further layers are apart and lets go of near ones.
        tied: layers whose distance counts, 1 being the first; by default all that tasks have of their own.

    Relations:
        The regulariser `soft_sharing` draws together whatever layers an architecture gives to tasks, weight by weight
        instead of layer by layer. `GroupTrunks` has no tie.

    Example:
        >>> LayerwiseSoftSharing(shared_layers=8, tied=(9, 10), gamma=0.01).squared
        False
    """

    gamma: float = 1e-3
    squared: bool = False
    tied: tuple[int, ...] = ()

    def faults(self) -> Iterator[Problem]:
        yield from super().faults()
        yield from at_least(0, gamma=self.gamma)

    def misfits(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterator[Problem]:
        return of_column(self.tied, self.shared_layers, trunk.depth, "architecture.tied")

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return len(tasks) - 1

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _LayerwiseSoftSharing(self, trunk, tasks)


class _LayerwiseSoftSharing(Grouped):
    def __init__(self, part: LayerwiseSoftSharing, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        heads = Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout)
        super().__init__(trunk, heads, [[name] for name in tasks], part.shared_layers)
        self.gamma, self.squared = part.gamma, part.squared
        tied = part.tied or range(part.shared_layers + 1, trunk.depth + 1)
        self.tied = [layer - 1 - part.shared_layers for layer in tied]

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        logits = super().forward(chunk)
        if self.training and self.gamma:
            self.extras["layer_distance"] = self.gamma * self._distance(next(self.parameters()))
        return logits

    def _distance(self, like: Tensor) -> Tensor:
        stacks = [self.layers(task) for (task,) in self.groups]
        # differences are made again on the way back: kept, they would take as much memory as the columns a chunk
        found = [
            checkpoint(distance, one[at], other[at], self.squared, use_reentrant=False, preserve_rng_state=False)
            for one, other in combinations(stacks, 2)
            for at in self.tied
        ]
        pairs = len(found) // len(self.tied)
        return torch.stack(found).sum() / pairs if pairs else like.new_zeros(())


def distance(one: nn.Module, other: nn.Module, squared: bool = False) -> Tensor:
    """How far the weights of two modules of the same kind are apart, as one vector each.

    Example:
        >>> one, other = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> _ = nn.init.zeros_(one.weight), nn.init.zeros_(one.bias)
        >>> _ = nn.init.constant_(other.weight, 3.0), nn.init.constant_(other.bias, 4.0)
        >>> distance(one, other).item(), distance(one, other, squared=True).item()
        (5.0, 25.0)
    """
    gaps = [a - b for a, b in zip(one.parameters(), other.parameters(), strict=True)]
    # lengths of lengths, since unlike a root of a sum they have a gradient of 0 where modules are equal
    length: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gap) for gap in gaps]))
    return length.square() if squared else length
