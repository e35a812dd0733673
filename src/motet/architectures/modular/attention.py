"""Attention of a trunk's layers that each task changes, by the interface that transformers has for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from motet.architectures.routing import Route
from motet.encoders.layers import has_layers
from motet.encoders.trunk import Trunk

__all__ = ["Memory", "can_remember", "remember"]

_NAME = "motet"
_MARK = "_motet_memory"


class Memory(nn.Module):
    """What attention has besides the places of a row, in one layer: keys and values more, or a bias of its scores.

    Args:
        route: of the arrangement.
    """

    def __init__(self, route: Route) -> None:
        super().__init__()
        self.route = route

    @property
    def active(self) -> bool:
        """Whether there is anything to see in this pass."""
        return bool(self.route.segments)

    def recall(self, task: str) -> tuple[Tensor, Tensor]:
        """Keys and values of a task, ``[heads, places, width]`` each."""
        raise NotImplementedError

    def forward(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``[rows, heads, places, width]``, those of the tasks first."""
        recalled = [(*self.recall(task), len(key[rows])) for task, rows in self.route.segments]
        keys = torch.cat([own.expand(count, -1, -1, -1) for own, _, count in recalled])
        values = torch.cat([own.expand(count, -1, -1, -1) for _, own, count in recalled])
        return torch.cat([keys.to(key.dtype), key], dim=2), torch.cat([values.to(value.dtype), value], dim=2)

    def bias(self, places: int) -> Tensor | None:
        """What is added to the scores before the softmax, ``[rows, heads or 1, places, places]``; None for nothing.

        Args:
            places: of a row, those that were added to it included.
        """
        return None


class _Probe(Memory):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(Route())
        self.asked = 0

    @property
    def active(self) -> bool:
        return True

    def forward(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        return key, value


def remember(trunk: Trunk, layer: nn.Module, memory: Memory) -> None:
    """Let the attention of a layer see a memory from now on."""
    config: Any = trunk.reader.config
    config._attn_implementation = _NAME
    for module in layer.modules():  # whichever of them attends
        object.__setattr__(module, _MARK, memory)  # known there, and held elsewhere


@torch.no_grad()
def can_remember(trunk: Trunk) -> bool:
    """Whether the attention of every layer of a trunk goes through the interface; asked in evaluation mode."""
    if not has_layers(trunk) or not hasattr(trunk.reader, "config"):
        return False
    probe = _Probe()
    with _probed(trunk, probe):
        tokens = torch.ones(1, 2, dtype=torch.long, device=trunk.embeddings.weight.device)
        trunk(tokens, torch.ones_like(tokens))
    return probe.asked == trunk.depth


@contextmanager
def _probed(trunk: Trunk, probe: _Probe) -> Iterator[None]:
    config: Any = trunk.reader.config
    before = config._attn_implementation
    try:
        for layer in trunk.layers:
            remember(trunk, layer, probe)
        yield
    finally:
        config._attn_implementation = before
        for module in trunk.layers.modules():
            module.__dict__.pop(_MARK, None)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **unused: Any,
) -> Any:
    """What transformers' attention finds, given the memory of a module besides."""
    memory: Memory | None = getattr(module, _MARK, None)
    if memory is not None and memory.active:
        own = key.shape[2]
        key, value = memory(key, value)
        more = (key.shape[2] - own, 0)
        attention_mask = None if attention_mask is None else functional.pad(attention_mask, more, value=True)
        position_bias = None if position_bias is None else functional.pad(position_bias, more)
        position_bias = _sum(position_bias, memory.bias(key.shape[2]), query)
    return sdpa_attention_forward(
        module,
        query,
        key,
        value,
        attention_mask,
        dropout=dropout,
        scaling=scaling,
        is_causal=is_causal,
        position_bias=position_bias,
    )


def _sum(position_bias: Tensor | None, added: Tensor | None, query: Tensor) -> Tensor | None:
    if added is None:
        return position_bias
    return added.to(query.dtype) if position_bias is None else position_bias + added.to(query.dtype)


def _mask(*args: Any, **options: Any) -> Any:
    """A mask of truth values, also where none would be needed without a memory."""
    return sdpa_mask(*args, **{**options, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, _mask)
