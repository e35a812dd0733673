"""Tasks in a circle: each reads what the one before it has said, and the first one the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.hierarchical.answering import Answering, unreadable
from motet.architectures.hierarchical.exchange import Exchange, Labels, Reader
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, nearest, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Cyclic"]


@register("architecture", "cyclic")
@dataclass(frozen=True, kw_only=True)
class Cyclic(Architecture):
    """Each task reads the answer of the one before it, and the first one that of the last, round and round.

    In every round the tasks answer one after the other. Task i reads the states h of the trunk and the latest answer
    of task i-1, as the vector of its labels y = sum_c p(c) e_c:

        h_i = h + V_i gelu(U_i [h; y_(i-1)])

    with V_i zero at first, so that training begins as hard sharing. In the first round the first task has nothing to
    read but h. What counts are the answers of the last round. Vectors of labels, U and V belong to the task that
    reads, and are the same in every round. All tasks of the circle answer all rows, whether they label them or not.

    Source: Zeng et al. 2020, "Neural Simile Recognition with Cyclic Multitask Learning and Local Attention".

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        order: of the circle; by default all tasks that answer with labels or numbers, as they stand in the recipe.
            Tasks that are left out read the trunk alone.
        turns: rounds.
        size: of the vector of a label.
        dropout: before the last linear layer of each head.

    Relations:
        With one round, a `pipeline` in which each task reads the one before it. In `interactive` all read all.

    Example:
        >>> Cyclic(order=("slots", "intent")).turns
        2
    """

    pooling: Pooling = "auto"
    order: tuple[str, ...] = ()
    turns: int = 2
    size: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", tuple(self.order))
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        yield from at_least(1, turns=self.turns, size=self.size)
        yield from below_one(dropout=self.dropout)
        if len(self.order) == 1 or len(set(self.order)) < len(self.order):
            yield Problem("order", "must name two tasks or more, each once", ", ".join(self.order))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for name in self.order:
            if name not in tasks:
                yield Problem("architecture.order", f"names no task. {nearest(name, tasks)}", name)
            elif unreadable(tasks[name]):
                yield Problem("architecture.order", f"cannot pass it on: `{name}` {unreadable(tasks[name])}", name)
        if len(self.circle(tasks)) < 2:
            yield Problem("architecture.order", "needs two tasks or more that answer with labels or numbers")

    def circle(self, tasks: Mapping[str, Task]) -> tuple[str, ...]:
        """The tasks that read one another, in their order."""
        return self.order or tuple(name for name, task in tasks.items() if not unreadable(task))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _Cyclic(self, trunk, tasks)


class _Cyclic(Exchange):
    def __init__(self, part: Cyclic, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        order = part.circle(tasks)
        answering = {name: Answering.of(tasks[name]) for name in order}
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), answering)
        self.turns = part.turns
        self.before = dict(zip(order, [order[-1], *order[:-1]], strict=True))
        self.readers = nn.ModuleDict()
        for name in order if part.turns > 1 else order[1:]:
            before = self.before[name]
            read = {before: Labels(answering[before].outputs, part.size)}
            self.readers[key(name)] = Reader(trunk.width, read, part.size, words=answering[name].words)

    def heard(self, chunk: Chunk, shared: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        said: dict[str, Tensor] = {}
        for _ in range(self.turns):
            for name, before in self.before.items():
                found[name] = self.readers[key(name)](shared, said, chunk.mask) if before in said else shared
                said[name] = self.says(name, found[name], chunk.mask)
        return found

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.readers:
            yield from self.readers[key(task)].parameters()
