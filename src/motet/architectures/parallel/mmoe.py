"""Experts that all tasks share, and a gate for each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.experts import Experts, Gate, Gating, weighed
from motet.architectures.heads import Heads, Pooling, answering, by_family, key
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import at_least, below_one, one_of, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["MMoE"]


@register("architecture", "mmoe")
@dataclass(frozen=True, kw_only=True)
class MMoE(Architecture):
    """Experts that all tasks share, weighed for each task by a gate of its own.

    The head of a task reads h_t = sum_i g_t(x)_i E_i(x) with g_t(x) = softmax(W_t x), where x is the state of a token
    and E_i are small feed-forward networks with a residual. The experts are shared parameters and pass over a chunk
    once, whatever the number of tasks. They begin as identities, at which this is hard sharing; with one expert, it is
    hard sharing with one more shared layer.

    Source: Ma, Zhao, Yi, Chen, Hong, Chi 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts".

    Args:
        experts: how many there are.
        size: hidden features of an expert.
        gate: whether weights follow from the state of each `token`, or are the same for all of a `text`.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `cgc` adds experts that a task has for itself. `mixture_of_experts` has one gate, told the task, and runs a few
        of its experts alone.

    Example:
        >>> MMoE(experts=8, gate="text").size
        128
    """

    experts: int = 4
    size: int = 128
    gate: Gating = "token"
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *at_least(1, experts=self.experts, size=self.size),
                *one_of(Gating, gate=self.gate),
                *below_one(dropout=self.dropout),
            ]
        )

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _MMoE(self, trunk, tasks)


class _MMoE(Together):
    def __init__(self, part: MMoE, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.experts = Experts(part.experts, trunk.width, part.size)
        pooling = by_family(part.pooling, trunk.family)
        self.gates = nn.ModuleDict(
            {key(name): Gate(trunk.width, part.experts, gate=part.gate, pooling=pooling) for name in answering(tasks)}
        )

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        made = self.experts(read.last)
        states = {}
        for name, part in parts.items():
            rows = chunk.owned[name].rows
            weights = self.gates[key(name)](read.last[rows], part.mask)
            states[name] = weighed(weights, made[rows])
        return states

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.gates:
            yield from self.gates[key(task)].parameters()
