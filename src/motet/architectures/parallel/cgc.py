"""Experts that all tasks share beside experts of each task, and a gate for each task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
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

__all__ = ["CGC", "Extraction"]


@register("architecture", "cgc")
@dataclass(frozen=True, kw_only=True)
class CGC(Architecture):
    """Customized gate control: a gate for each task over shared experts and experts of its own.

    The head of task k reads g_k = sum_i softmax(W_k x)_i E_i(x), where i runs over the shared experts and those of k,
    and x is the state of a token. A task never reads the experts of another one. All experts are small feed-forward
    networks with a residual and begin as identities, at which this is hard sharing.

    Source: Tang, Liu, Zhao, Gong 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model
    for Personalized Recommendations".

    Args:
        shared: experts of all tasks.
        private: experts of each task.
        size: hidden features of an expert.
        gate: whether weights follow from the state of each `token`, or are the same for all of a `text`.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        Without private experts this is `mmoe`; `ple` has several levels of it.

    Example:
        >>> CGC(shared=3).private
        1
    """

    shared: int = 2
    private: int = 1
    size: int = 128
    gate: Gating = "token"
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *at_least(1, shared=self.shared, size=self.size),
                *at_least(0, private=self.private),
                *one_of(Gating, gate=self.gate),
                *below_one(dropout=self.dropout),
            ]
        )

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _CGC(self, trunk, tasks)


class Extraction(nn.Module):
    """One level: shared experts, experts of each task, and the gates of the tasks.

    Args:
        tasks: that have a gate.
        width: size of the states.
        shared: experts of all tasks.
        private: experts of each task.
        size: hidden features of an expert.
        gate: what the weights follow from.
        pooling: how a text becomes one vector.
    """

    def __init__(
        self,
        tasks: Iterable[str],
        width: int,
        *,
        shared: int,
        private: int,
        size: int,
        gate: Gating,
        pooling: Pooling,
    ) -> None:
        super().__init__()
        self.shared = Experts(shared, width, size)
        self.private = nn.ModuleDict()
        self.gates = nn.ModuleDict()
        for name in tasks:
            self.gates[key(name)] = Gate(width, shared + private, gate=gate, pooling=pooling)
            if private:
                self.private[key(name)] = Experts(private, width, size)

    def own(self, task: str, states: Tensor) -> list[Tensor]:
        """What the experts of a task make of its states; nothing where it has none."""
        return [self.private[key(task)](states)] if key(task) in self.private else []

    def chosen(self, task: str, states: Tensor, mask: Tensor, made: Iterable[Tensor]) -> Tensor:
        """What the gate of a task makes of its states and of what shared and own experts make."""
        return weighed(self.gates[key(task)](states, mask), torch.cat(list(made), dim=-2))

    def read(
        self, chunk: Chunk, parts: Mapping[str, Chunk], common: Tensor, given: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What the gates let through, each for the rows of its task.

        Args:
            chunk: all rows.
            parts: the rows of each task by themselves.
            common: what the shared experts read of all rows, ``[rows, length, width]``.
            given: what the gate and the experts of each task read of all rows.
        """
        shared, states = self.shared(common), {}
        for name, part in parts.items():
            rows = chunk.owned[name].rows
            here = given[name][rows]
            states[name] = self.chosen(name, here, part.mask, [shared[rows], *self.own(name, here)])
        return states

    def of(self, task: str, part: nn.ModuleDict) -> Iterable[nn.Parameter]:
        """The parameters of a task among the gates or the private experts."""
        return part[key(task)].parameters() if key(task) in part else ()


class _CGC(Together):
    def __init__(self, part: CGC, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.level = Extraction(
            answering(tasks),
            trunk.width,
            shared=part.shared,
            private=part.private,
            size=part.size,
            gate=part.gate,
            pooling=by_family(part.pooling, trunk.family),
        )

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        return self.level.read(chunk, parts, read.last, dict.fromkeys(parts, read.last))

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        yield from self.level.of(task, self.level.gates)
        yield from self.level.of(task, self.level.private)
