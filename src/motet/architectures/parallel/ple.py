"""Levels of shared and private experts, each level reading what the gates of the one below let through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.experts import Gate, Gating, weighed
from motet.architectures.heads import Heads, Pooling, answering, by_family
from motet.architectures.parallel.cgc import Extraction
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import at_least, below_one, one_of, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["PLE"]


@register("architecture", "ple")
@dataclass(frozen=True, kw_only=True)
class PLE(Architecture):
    """Progressive layered extraction: levels of shared and private experts.

    Every level is that of `cgc`. The experts of a task read what its gate on the level below lets through, and the
    shared experts what a shared gate lets through, which weighs the experts of all tasks and the shared ones. The heads
    read the gates of the top level, which has no shared gate. All experts are small feed-forward networks with a
    residual and begin as identities, at which this is hard sharing; with one level, one shared expert and none of its
    own it is hard sharing with one more shared layer.

    Below the top, the experts of a task serve all tasks by way of the shared gate, and count as shared parameters.

    Source: Tang, Liu, Zhao, Gong 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model
    for Personalized Recommendations".

    Args:
        levels: how many there are.
        shared: experts of all tasks, on each level.
        private: experts of each task, on each level.
        size: hidden features of an expert.
        gate: whether weights follow from the state of each `token`, or are the same for all of a `text`.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        With one level this is `cgc`.

    Example:
        >>> PLE(levels=3, private=2).shared
        2
    """

    levels: int = 2
    shared: int = 2
    private: int = 1
    size: int = 128
    gate: Gating = "token"
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *at_least(1, levels=self.levels, shared=self.shared, size=self.size),
                *at_least(0, private=self.private),
                *one_of(Gating, gate=self.gate),
                *below_one(dropout=self.dropout),
            ]
        )

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _PLE(self, trunk, tasks)


class _PLE(Together):
    def __init__(self, part: PLE, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.tasks = answering(tasks)
        pooling = by_family(part.pooling, trunk.family)
        self.levels = nn.ModuleList(
            Extraction(
                self.tasks,
                trunk.width,
                shared=part.shared,
                private=part.private,
                size=part.size,
                gate=part.gate,
                pooling=pooling,
            )
            for _ in range(part.levels)
        )
        experts = part.shared + len(self.tasks) * part.private
        self.shared_gates = nn.ModuleList(
            Gate(trunk.width, experts, gate=part.gate, pooling=pooling) for _ in range(part.levels - 1)
        )

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        common, given = read.last, dict.fromkeys(self.tasks, read.last)
        for level, gate in zip(self._levels[:-1], self.shared_gates, strict=True):
            shared = level.shared(common)
            own = {name: level.own(name, states) for name, states in given.items()}
            given = {
                name: level.chosen(name, states, chunk.mask, [shared, *own[name]]) for name, states in given.items()
            }
            every = torch.cat([shared, *(made for of_task in own.values() for made in of_task)], dim=-2)
            common = weighed(gate(common, chunk.mask), every)
        return self._levels[-1].read(chunk, parts, common, given)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        top = self._levels[-1]
        yield from top.of(task, top.private)
        # what a gate lets through to experts below the top reaches all tasks by way of the shared gate
        for level in self._levels[-2:] if top.private else self._levels:
            yield from level.of(task, level.gates)

    @property
    def _levels(self) -> list[Extraction]:
        return cast("list[Extraction]", list(self.levels))
