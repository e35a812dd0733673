"""Learned scales of each task on keys, values and the inside of feed-forward networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling
from motet.architectures.routing import Inserted, Routed, lacking
from motet.encoders.layers import Role, sites, size
from motet.encoders.trunk import Trunk
from motet.errors import Problem, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["IA3"]

_ROLES: tuple[Role, ...] = ("key", "value", "outer")


@register("architecture", "ia3")
@dataclass(frozen=True, kw_only=True)
class IA3(Architecture):
    """Learned scales of each task in a frozen trunk: l_k ⊙ K, l_v ⊙ V and W_2 (l_ff ⊙ φ(W_1 x)).

    All scales begin at one, so that the trunk begins as it was pretrained.

    Source: Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning".

    Args:
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `lora` adds to products where this scales them. An encoder that makes keys and values in one product (GPT-2,
        ModernBERT) has no place for the scales.

    Example:
        >>> IA3().freeze
        True
    """

    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(below_one(dropout=self.dropout))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, _ROLES, "architecture.type")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _IA3(self, trunk, tasks)


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        return states * self.scale


class _IA3(Routed):
    def __init__(self, part: IA3, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        for layer in trunk.layers:
            keys, values, outer = (sites(layer)[role] for role in _ROLES)
            for product in (keys, values):
                self.insert(self._scales(size(product)[1], tasks), behind=product)
            self.insert(self._scales(size(outer)[0], tasks), before=outer)

    def _scales(self, width: int, tasks: Iterable[str]) -> Inserted:
        return Inserted(self.route, {name: _Scale(width) for name in tasks})
