"""Low-rank additions of each task to the products of a trunk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling
from motet.architectures.routing import Inserted, Routed, lacking, site
from motet.encoders.layers import size
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, positive, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["LoRA", "LowRank", "named"]


@register("architecture", "lora")
@dataclass(frozen=True, kw_only=True)
class LoRA(Architecture):
    """Low-rank additions of each task to the products of a frozen trunk: W x + alpha/r B_t A_t x.

    B begins at zero, so that the trunk begins as it was pretrained; the entries of A are drawn from a normal
    distribution.

    Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".

    Args:
        rank: r.
        alpha: scale of what is added, before it is divided by r.
        sites: the products of a layer that are added to: `query`, `key`, `value`, `attention`, `inner`, `outer`, or
            the name that a product has in the layer, as `attn.c_attn` where GPT-2 has three in one.
        shared: whether there is another addition, which all tasks share and learn together.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `mtl_lora` shares A and several B between the tasks; `ia3` scales where this adds.

    Example:
        >>> LoRA(rank=4, sites=("query", "value", "outer")).alpha
        8.0
    """

    rank: int = 8
    alpha: float = 8.0
    sites: tuple[str, ...] = ("query", "value")
    shared: bool = False
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *at_least(1, rank=self.rank),
                *positive(alpha=self.alpha),
                *named(self.sites),
                *below_one(dropout=self.dropout),
            ]
        )

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, self.sites, "architecture.sites")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _LoRA(self, trunk, tasks)


class LowRank(nn.Module):
    """What is added to a product: scale B A x.

    Args:
        product: of the trunk.
        rank: r.
        scale: alpha/r.
    """

    def __init__(self, product: nn.Module, rank: int, scale: float) -> None:
        super().__init__()
        inside, outside = size(product)
        self.scale = scale
        self.A = nn.Parameter(torch.randn(rank, inside) / math.sqrt(inside))
        self.B = nn.Parameter(torch.zeros(outside, rank))

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        """The states that the product returned, with what is added to them."""
        return states + self.scale * functional.linear(functional.linear(given, self.A), self.B)


class _LoRA(Routed):
    def __init__(self, part: LoRA, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        scale = part.alpha / part.rank
        for layer in trunk.layers:
            for name in part.sites:
                product = site(layer, name)
                own = {task: LowRank(product, part.rank, scale) for task in tasks}
                shared = LowRank(product, part.rank, scale) if part.shared else None
                self.insert(Inserted(self.route, own, shared=shared), behind=product)


def named(sites: Sequence[str]) -> Iterable[Problem]:
    """What is wrong with a list of products, whatever the encoder."""
    if isinstance(sites, str) or not sites or len(set(sites)) < len(sites):
        yield Problem("sites", "must be a list of one or more different products", repr(sites))
