"""Learned keys and values of each task in the attention of every layer of a trunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.modular.attention import Memory, can_remember, remember
from motet.architectures.routing import Route, Routed
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["PrefixTuning"]


@register("architecture", "prefix_tuning")
@dataclass(frozen=True, kw_only=True)
class PrefixTuning(Architecture):
    """Learned keys and values of each task before those of a text, in every layer of a frozen trunk.

    [K; V] of a layer are tanh(P W + b) W_l + b_l: a matrix P of the task passes an MLP, which keeps training stable.
    They have no places of their own: those of the text are counted as ever.

    Source: Li, Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation".

    Args:
        length: keys and values in a layer; with 0 only the heads are of a task.
        hidden: features within the MLP; with 0 keys and values are learned as they are.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `prompt_tuning` learns what goes into the first layer alone. An encoder whose attention does not go through
        the interface of transformers (DeBERTa, MPNet) cannot take prefixes; in an encoder-decoder they stand in the
        encoder.

    Example:
        >>> PrefixTuning(length=10).hidden
        512
    """

    length: int = 30
    hidden: int = 512
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require([*at_least(0, length=self.length, hidden=self.hidden), *below_one(dropout=self.dropout)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        if not can_remember(trunk):
            yield Problem("architecture.type", "adds to attention, which this encoder does in a way of its own")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _PrefixTuning(self, trunk, tasks)


class _Prefix(nn.Module):
    """Keys and values of one task in all layers."""

    def __init__(self, part: PrefixTuning, trunk: Trunk, heads: int, width: int) -> None:
        super().__init__()
        self.shape = (part.length, 2, heads, width)
        each = 2 * heads * width
        if part.hidden:
            self.P = nn.Parameter(torch.randn(part.length, trunk.width))
            self.inner = nn.Sequential(nn.Linear(trunk.width, part.hidden), nn.Tanh())
            self.layers = nn.ModuleList(nn.Linear(part.hidden, each) for _ in range(trunk.depth))
        else:
            self.P = nn.Parameter(0.02 * torch.randn(trunk.depth, part.length, each))
        self.hidden = part.hidden

    def forward(self, place: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, ``[heads, places, width]``."""
        flat = self.layers[place](self.inner(self.P)) if self.hidden else self.P[place]
        keys, values = flat.view(self.shape).permute(1, 2, 0, 3)
        return keys, values


class _Layer(Memory):
    def __init__(self, route: Route, prefixes: nn.ModuleDict, place: int) -> None:
        super().__init__(route)
        self._prefixes = (prefixes,)  # in a tuple, which keeps torch from counting them once a layer
        self.place = place

    def recall(self, task: str) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self._prefixes[0][key(task)](self.place)
        return found


class _PrefixTuning(Routed):
    def __init__(self, part: PrefixTuning, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        if part.length:
            self.prefixes = nn.ModuleDict({key(name): _Prefix(part, trunk, *_keys(trunk)) for name in tasks})
            for place, layer in enumerate(trunk.layers):
                remember(trunk, layer, _Layer(self.route, self.prefixes, place))


def _keys(trunk: Trunk) -> tuple[int, int]:
    """How many heads the keys of a layer have, and how wide one is."""
    config: Any = trunk.reader.config
    width = getattr(config, "head_dim", None) or getattr(config, "d_kv", None) or trunk.width // trunk.heads
    return getattr(config, "num_key_value_heads", None) or trunk.heads, width
