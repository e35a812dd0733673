"""Projected attention layers of each task beside the layers of a trunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.routing import Inserted, Route, Routed, lacking, without_cache
from motet.data.batches import Chunk
from motet.encoders.layers import sites
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["PALs"]


@register("architecture", "pals")
@dataclass(frozen=True, kw_only=True)
class PALs(Architecture):
    """Projected attention layers: each layer of the trunk also adds GELU(V_D MHA_t(V_E h)) for the task of a row.

    h is what goes into a layer, and what is made of it is added to what its feed-forward network returns. V_E and V_D
    belong to a task and are the same in all layers; the attention belongs to a task and a layer, and has no output
    matrix. V_D begins at zero, so that the trunk begins as it was pretrained, and is then trained as a whole.

    Source: Stickland, Murray 2019, "BERT and PALs: Projected Attention Layers for Efficient Adaptation in Multi-Task
    Learning".

    Args:
        rank: features between V_E and V_D.
        heads: of the attention.
        attention: without, V_D V_E h alone is left (the low-rank layers of the paper).
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `adapters` stand in a row with the layers, these beside them.

    Example:
        >>> PALs(rank=12, heads=3).attention
        True
    """

    rank: int = 204
    heads: int = 12
    attention: bool = True
    freeze: bool = False
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require([*at_least(1, rank=self.rank, heads=self.heads), *self._uneven(), *below_one(dropout=self.dropout)])

    def _uneven(self) -> Iterable[Problem]:
        if self.attention and self.heads >= 1 and self.rank % self.heads:
            yield Problem("heads", f"must divide `rank` ({self.rank})", str(self.heads))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, ["outer"], "architecture.type")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _PALs(self, trunk, tasks)


class _Attention(nn.Module):
    """Attention with heads, without biases and without an output matrix."""

    def __init__(self, rank: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(rank, rank, bias=False) for _ in range(3))

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        """What ``[rows, length, rank]`` gather from where ``[rows, 1, 1 or length, length]`` is true."""
        query, keys, values = (
            linear(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        found = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
        return found.transpose(1, 2).flatten(2)


class _Pal(nn.Module):
    """The projections of a task, and its attention in every layer."""

    def __init__(self, part: PALs, width: int, depth: int) -> None:
        super().__init__()
        self.V_E = nn.Linear(width, part.rank, bias=False)
        self.V_D = nn.Linear(part.rank, width, bias=False)
        nn.init.zeros_(self.V_D.weight)
        self.attention = nn.ModuleList(_Attention(part.rank, part.heads) for _ in range(depth * part.attention))

    def forward(self, place: int, states: Tensor, seen: Tensor) -> Tensor:
        low = self.V_E(states)
        if self.attention:
            low = self.attention[place](low, seen)
        return functional.gelu(self.V_D(low))


class _Beside(Inserted):
    """What the tasks add to one layer of the trunk.

    Args:
        route: of the arrangement.
        pals: of the tasks, by key; held by the arrangement.
        place: of the layer.
        causal: whether a place sees no later ones.
    """

    def __init__(self, route: Route, pals: nn.ModuleDict, place: int, *, causal: bool) -> None:
        super().__init__(route, {})
        self._pals = (pals,)  # in a tuple, which keeps torch from counting them once a layer
        self.place = place
        self.causal = causal
        self.begun: Tensor | None = None

    def note(self, layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Keep what goes into the layer."""
        self.begun = args[0] if args else kwargs["hidden_states"]

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        states = super().forward(given, states)
        self.begun = None
        return states

    def changes(self, task: str) -> bool:
        return key(task) in self._pals[0]

    def changed(self, task: str, rows: slice, given: Tensor, states: Tensor) -> Tensor:
        begun, mask = self.begun, self.route.mask
        if begun is None or mask is None:
            raise RuntimeError("a layer is passed without its trunk")
        added: Tensor = self._pals[0][key(task)](self.place, begun[rows], _seen(mask[rows], causal=self.causal))
        return states + added


class _PALs(Routed):
    def __init__(self, part: PALs, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        self.route.follow(trunk)
        self.attention = part.attention
        self.pals = nn.ModuleDict({key(name): _Pal(part, trunk.width, trunk.depth) for name in tasks})
        for place, layer in enumerate(trunk.layers):
            beside = _Beside(self.route, self.pals, place, causal=trunk.family == "decoder")
            layer.register_forward_pre_hook(beside.note, with_kwargs=True)
            self.insert(beside, behind=sites(layer)["outer"])

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        if not self.attention:
            return super().write(chunk, task)
        with without_cache(self.trunk):
            return super().write(chunk, task)


def _seen(mask: Tensor, *, causal: bool) -> Tensor:
    """Which places are seen from which, ``[rows, 1, 1 or length, length]``; in a decoder each at least from itself."""
    seen = mask[:, None, None].bool()
    if not causal:
        return seen
    square = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device)
    return (seen & square.tril()) | torch.eye(len(square), dtype=torch.bool, device=mask.device)
