"""Soft masks of each task over the features of shared layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, answering, key
from motet.architectures.reading import Reading
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["MTAN", "Mask"]


@register("architecture", "mtan")
@dataclass(frozen=True, kw_only=True)
class MTAN(Architecture):
    """Each task reads the layers of the trunk through soft masks of its own, from one layer to the next.

    On every chosen layer l, with the states s_l that all tasks share, a task makes

        a_l = sigmoid(W2 relu(W1 [s_l; f_(l-1)]))    and    f_l = a_l * s_l,

    where f_0 = 0; its head reads the f of the last one. In the paper's images a shared convolution resizes f between
    the layers; the layers of a transformer are of one size and need none. Masks begin nearly open. Where those of the
    last layer of the trunk are quite open, this is hard sharing.

    Source: Liu, Johns, Davison 2019, "End-to-End Multi-Task Learning with Attention".

    Args:
        layers: that are masked (1 is the first), from low to high; by default all.
        size: hidden features of a mask. A task has 3 x width x size parameters a layer.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `feature_fusion` weighs layers, this one their features.

    Example:
        >>> MTAN(layers=(4, 8, 12)).size
        64
    """

    layers: tuple[int, ...] = ()
    size: int = 64
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require([*at_least(1, size=self.size), *below_one(dropout=self.dropout), *self._unsorted()])

    def _unsorted(self) -> Iterable[Problem]:
        if list(self.layers) != sorted(set(self.layers)):
            yield Problem("layers", "must go from low to high, each layer once", str(list(self.layers)))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for layer in self.layers:
            if not 1 <= layer <= trunk.depth:
                yield Problem("architecture.layers", f"must be 1 to {trunk.depth}", str(layer))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _MTAN(self, trunk, tasks)


class Mask(nn.Module):
    """The mask of one task on one layer.

    Args:
        width: size of the states.
        size: hidden features.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * width, size)
        self.outer = nn.Linear(size, width)
        nn.init.constant_(self.outer.bias, 3.0)  # open by 0.95, so that a pre-trained trunk is heard from the start

    def forward(self, shared: Tensor, before: Tensor) -> Tensor:
        """The features ``[..., width]`` that a task takes from shared ones, having taken others before."""
        opened = torch.sigmoid(self.outer(torch.relu(self.inner(torch.cat([shared, before], dim=-1)))))
        return opened * shared


class _MTAN(Reading):
    inner: ClassVar[bool] = True

    def __init__(self, part: MTAN, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        layers = part.layers or range(1, trunk.depth + 1)
        self.layers = [layer if layer < trunk.depth else None for layer in layers]
        self.masks = nn.ModuleDict(
            {key(name): nn.ModuleList(Mask(trunk.width, part.size) for _ in self.layers) for name in answering(tasks)}
        )

    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        taken = torch.zeros_like(read.last)
        masks: Iterable[nn.Module] = self.masks[key(task)].children()
        for layer, mask in zip(self.layers, masks, strict=True):
            taken = mask(read.after(layer), taken)
        return taken

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.masks:
            yield from self.masks[key(task)].parameters()
