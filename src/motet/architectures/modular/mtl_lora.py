"""Low-rank additions that tasks share in part: one way down, several ways up that each task weighs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.modular.lora import named
from motet.architectures.routing import Inserted, Route, Routed, lacking, site
from motet.encoders.layers import size
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, positive, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["MTLLoRA"]


@register("architecture", "mtl_lora")
@dataclass(frozen=True, kw_only=True)
class MTLLoRA(Architecture):
    """Low-rank additions that tasks share in part: W x + alpha/r Σ_i softmax(w_t/τ)_i B_i Λ_t A x.

    A and every B_i are shared by all tasks; Λ_t is a matrix of a task's own in between, and w_t its taste for the B_i.
    Every B_i begins at zero and Λ_t as the identity; w_t is drawn, since equal weights would keep all B_i equal.

    Source: Yang et al. 2024, "MTL-LoRA: Low-Rank Adaptation for Multi-Task Learning".

    Args:
        rank: r.
        alpha: scale of what is added, before it is divided by r.
        ups: how many B_i there are.
        temperature: τ; the lower, the more a task keeps to one of the B_i.
        sites: the products of a layer that are added to, as for `lora`.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `lora` with `shared: true` adds what all tasks share to what a task has; this multiplies them.

    Example:
        >>> MTLLoRA(ups=4).temperature
        0.05
    """

    rank: int = 8
    alpha: float = 8.0
    ups: int = 3
    temperature: float = 0.05
    sites: tuple[str, ...] = ("query", "value")
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *at_least(1, rank=self.rank),
                *at_least(2, ups=self.ups),
                *positive(alpha=self.alpha, temperature=self.temperature),
                *named(self.sites),
                *below_one(dropout=self.dropout),
            ]
        )

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, self.sites, "architecture.sites")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _MTLLoRA(self, trunk, tasks)


class _Shared(Inserted):
    def __init__(self, part: MTLLoRA, route: Route, tasks: Iterable[str], product: nn.Module) -> None:
        super().__init__(route, {})
        inside, outside = size(product)
        self.scale, self.temperature = part.alpha / part.rank, part.temperature
        self.A = nn.Parameter(torch.randn(part.rank, inside) / math.sqrt(inside))
        self.B = nn.Parameter(torch.zeros(part.ups, outside, part.rank))
        self.Lambda = nn.ParameterDict({key(task): torch.eye(part.rank) for task in tasks})
        self.w = nn.ParameterDict({key(task): torch.randn(part.ups) * part.temperature for task in tasks})

    def changes(self, task: str) -> bool:
        return key(task) in self.w

    def changed(self, task: str, rows: slice, given: Tensor, states: Tensor) -> Tensor:
        weights = torch.softmax(self.w[key(task)] / self.temperature, dim=0)
        B = torch.einsum("i,ior->or", weights, self.B)
        low = functional.linear(functional.linear(given, self.A), self.Lambda[key(task)])
        return states + self.scale * functional.linear(low, B)


class _MTLLoRA(Routed):
    def __init__(self, part: MTLLoRA, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        for layer in trunk.layers:
            for name in part.sites:
                product = site(layer, name)
                self.insert(_Shared(part, self.route, tasks, product), behind=product)
