"""Tasks one behind the other: each reads what those before it have said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key, writes
from motet.architectures.hierarchical.answering import Answering, unreadable
from motet.architectures.hierarchical.exchange import Exchange, Labels, Reader
from motet.architectures.hierarchical.graph import TaskGraph
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Pipeline"]


@register("architecture", "pipeline")
@dataclass(frozen=True, kw_only=True)
class Pipeline(Architecture):
    """Each task reads the answers of those before it, beside the states of the trunk.

    A label c of a task a that is read has a vector e_c, and its answer is y_a = sum_c p_a(c) e_c: the vector of the
    true label where the task is sure, and a mean of several where it is not. The head of the task b that reads gets

        h_b = h + V gelu(U [h; y_a; y_a'; ...])

    with V zero at first, so that training begins as hard sharing. For a task about texts, what is said of words is
    their mean; for a task about words, what is said of the text goes to every word. A number multiplies one vector;
    labels of which any may hold, and the steps of a scale, each have theirs. Earlier tasks answer all rows, whether
    they label them or not. A loss of b also teaches a, unless `detach`. Directions are free: any graph without
    circles will do.

    While training, a part of the rows that a labels can be read with their true labels in the place of its answers:
    at first `gold` of them, by the end none, falling along a line. Words whose label is not known are read as
    answered, as are all sub-words of a word behind the first.

    With `connection: states`, a task that is read has a small layer of its own, m_a = gelu(D_a h_a), from which its
    head reads h_a + E_a m_a, E_a zero at first, and others read m_a, token by token, instead of its answer.

    Source: Hashimoto, Xiong, Tsuruoka, Socher 2017, "A Joint Many-Task Model: Growing a Neural Network for Multiple
    NLP Tasks"; hidden states beside answers: Gong et al. 2019, "Deep Cascade Multi-Task Learning for Slot Filling in
    Online Shopping Assistant"; true labels that make way for answers: Bengio, Vinyals, Jaitly, Shazeer 2015,
    "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks".

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        feeds: for each task that reads others, their names.
        connection: what is read: answers as vectors of `labels`, or the `states` of a small layer.
        size: of the vector of a label, or of a small layer.
        detach: whether a task learns nothing from the losses of those that read it.
        gold: share of the labelled rows that are read with their true labels when training begins.
        dropout: before the last linear layer of each head.

    Relations:
        In `cyclic` the last task feeds the first one again; in `interactive` all read all, in turns. `hard_sharing`
        with `read_layer` puts tasks in an order without telling one what the other says.

    Example:
        >>> part = Pipeline(feeds={"intent": ["slots"]}, gold=0.5)
        >>> part.graph.order
        ('slots', 'intent')
    """

    pooling: Pooling = "auto"
    feeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    connection: Literal["labels", "states"] = "labels"
    size: int = 64
    detach: bool = False
    gold: float = 0.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "feeds", {name: tuple(sources) for name, sources in self.feeds.items()})
        require([*self._problems(), *at_least(1, size=self.size)])
        TaskGraph(self.feeds)

    def _problems(self) -> Iterable[Problem]:
        yield from below_one(dropout=self.dropout)
        if not 0 <= self.gold <= 1:
            yield Problem("gold", "must be at least 0 and at most 1", str(self.gold))
        if self.connection not in ("labels", "states"):
            yield Problem("connection", "must be `labels` or `states`", self.connection)
        if self.gold and self.connection == "states":
            yield Problem("gold", "must be 0 where `states` are read, of which no true ones are known", str(self.gold))

    @property
    def graph(self) -> TaskGraph:
        """Who reads whom."""
        return TaskGraph(self.feeds)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from self.graph.strangers(tasks, "architecture.feeds")
        for name, sources in self.feeds.items():
            place = f"architecture.feeds.{name}"
            if name in tasks and writes(tasks[name]):
                yield Problem(place, "is for tasks with a head of their own; this one writes with the whole trunk")
            for source in sources:
                why = self._unreadable(tasks[source]) if source in tasks else ""
                if why:
                    yield Problem(place, f"cannot be read: `{source}` {why}", source)

    def _unreadable(self, task: Task) -> str:
        if self.connection == "labels":
            return unreadable(task)
        return "writes with the whole trunk and has no layer of its own" if writes(task) else ""

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _Pipeline(self, trunk, tasks)


class _Pipeline(Exchange):
    def __init__(self, part: Pipeline, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        by_label = part.connection == "labels"
        answering = {name: Answering.of(tasks[name]) for name in part.graph.sources if by_label}
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), answering)
        self.graph, self.detach, self.gold, self.share = part.graph, part.detach, part.gold, part.gold
        layers = {key(name): _Layer(trunk.width, part.size) for name in part.graph.sources if not by_label}
        self.layers = nn.ModuleDict(layers)
        self.readers = nn.ModuleDict()
        for name, sources in part.feeds.items():
            read = {of: Labels(answering[of].outputs, part.size) if by_label else nn.Identity() for of in sources}
            words = not by_label or tasks[name].level != "text"
            self.readers[key(name)] = Reader(trunk.width, read, part.size, words=words)

    def begin(self, step: int, steps: int) -> None:
        self.share = self.gold * max(0.0, 1 - step / steps)

    def heard(self, chunk: Chunk, shared: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        said: dict[str, Tensor] = {}
        for name in self.graph.needed(chunk.owned):
            states = shared
            if key(name) in self.readers:
                states = self.readers[key(name)](states, said, chunk.mask)
            if key(name) in self.layers:
                said[name], states = self.layers[key(name)](states)
            elif name in self.answering:
                said[name] = self._given(name, self.says(name, states, chunk.mask), chunk)
            if self.detach and name in said:
                said[name] = said[name].detach()
            found[name] = states
        return found

    def _given(self, name: str, said: Tensor, chunk: Chunk) -> Tensor:
        """What is said, with true answers in some of the rows that the task labels."""
        own = chunk.owned.get(name)
        if not self.training or not self.gold or own is None or own.target is None:
            return said
        values, known = self.answering[name].truth(own.target)
        rows, places = (own.rows, torch.zeros_like(own.rows)) if own.words is None else own.words
        drawn = torch.rand(len(said), device=said.device) < self.share
        given = torch.zeros(said.shape[:2], dtype=torch.bool, device=said.device)
        given[rows, places] = known & drawn[rows]
        truth = torch.zeros_like(said)
        truth[rows, places] = values
        return torch.where(given.unsqueeze(-1), truth, said)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        for modules in (self.layers, self.readers):
            if key(task) in modules:
                yield from modules[key(task)].parameters()


class _Layer(nn.Module):
    """The small layer of a task: what others read of it, and what its head reads."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, size)
        self.up = nn.Linear(size, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        hidden = functional.gelu(self.down(states))
        return hidden, states + self.up(hidden)
