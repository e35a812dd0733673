"""Columns that read mixtures of each other's states after every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.columns import Columned, InStep
from motet.architectures.heads import Heads, answering
from motet.encoders.trunk import Trunk
from motet.errors import Problem, share
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["CrossStitch", "mixtures", "stitches"]


@register("architecture", "cross_stitch")
@dataclass(frozen=True, kw_only=True)
class CrossStitch(Columned):
    """A column for each task; after every layer each reads a learnt mixture of the states of all.

    ``h_k <- sum(alpha_ki * h_i)`` with numbers `alpha` for each layer, which begin as `own` for a column itself and as
    equal parts of the rest for the others. All columns read all rows, so that a step costs as much as columns times
    rows. The trunk's layers are the first column, and the others begin as copies of it. Tasks that write do so with
    the trunk as it is.

    Source: Misra et al. 2016, "Cross-stitch Networks for Multi-task Learning".

    Args:
        own: weight of a column's own states at the beginning; the weights of all columns add up to 1.

    Relations:
        `Sluice` mixes parts of states, and layers for the head; `LeakyUnits` has gates in the place of numbers.

    Example:
        >>> CrossStitch(shared_layers=6, own=0.8).own
        0.8
    """

    own: float = 0.9

    def faults(self) -> Iterator[Problem]:
        yield from super().faults()
        yield from share(own=self.own)

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return max(0, len(answering(tasks)) - 1)

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _CrossStitch(self, trunk, tasks)


class _CrossStitch(InStep):
    def __init__(self, part: CrossStitch, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        heads = Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout)
        super().__init__(trunk, heads, tasks, part.shared_layers)
        # a vector, because weight decay is for matrices and would wear mixtures away
        self.alpha = nn.Parameter(stitches(len(self.names), part.own).flatten().repeat(self.depth))

    def mix(self, place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        alpha = self.alpha.view(self.depth, len(found), len(found))[place]
        mixed = mixtures(alpha, [found[name] for name in self.names])
        return dict(zip(self.names, mixed, strict=True))


def stitches(count: int, own: float) -> Tensor:
    """Weights ``[count, count]`` with which mixtures begin: rows add up to 1.

    Example:
        >>> stitches(3, 0.8).tolist()[0] == [0.800000011920929, 0.10000000149011612, 0.10000000149011612]
        True
        >>> stitches(1, 0.8)
        tensor([[1.]])
    """
    if count < 2:
        return torch.ones(count, count)
    return torch.full((count, count), (1 - own) / (count - 1)).fill_diagonal_(own)


def mixtures(weights: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
    """As many sums of states as there are rows of weights ``[sums, states]``."""
    # number by number: as a product of matrices, mixed precision would round the weights to three digits
    return [reduce(torch.add, [weight * each for weight, each in zip(row, states, strict=True)]) for row in weights]
