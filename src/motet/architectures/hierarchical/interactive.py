"""All tasks read all answers and answer again, in turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.hierarchical.answering import Answering, unreadable
from motet.architectures.hierarchical.exchange import Exchange, Labels, Merge, over_text
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Interactive"]


@register("architecture", "interactive")
@dataclass(frozen=True, kw_only=True)
class Interactive(Architecture):
    """All tasks read the answers of all and answer again, for some turns.

    h^(0) is what the trunk reads. In turn t every task answers from h^(t-1), and all answers, as vectors of their
    labels y_k = sum_c p_k(c) e_c, change the one set of states that all tasks share:

        h^(t) = f([h^(t-1); y_1; ...; y_M]),    f(.) = h^(t-1) + V gelu(U [.])

    What counts are the answers of the last turn. Turns share f and the heads. V is zero at first, so that training
    begins as hard sharing; with one turn this is hard sharing. What is said of a text goes to every token; what is
    said of words is read at each of them, and as the mean over the text, which a pooling of one token would miss. All
    tasks answer all rows, whether they label them or not, except those whose answers are no labels or numbers.

    Source: He, Lee, Ng, Dahlmeier 2019, "An Interactive Multi-Task Learning Network for End-to-End Aspect-Based
    Sentiment Analysis".

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        turns: how often every task answers; more than two are said to change little.
        size: of the vector of a label.
        dropout: before the last linear layer of each head.

    Relations:
        `pipeline` passes answers on in one direction, `cyclic` around a circle, and both to some tasks alone.

    Example:
        >>> Interactive(turns=3).size
        64
    """

    pooling: Pooling = "auto"
    turns: int = 2
    size: int = 64
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        yield from at_least(1, turns=self.turns, size=self.size)
        yield from below_one(dropout=self.dropout)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        if self.turns > 1 and all(map(unreadable, tasks.values())):
            rule = "must be 1 where no task answers with labels or numbers"
            yield Problem("architecture.turns", rule, str(self.turns))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _Interactive(self, trunk, tasks)


class _Interactive(Exchange):
    def __init__(self, part: Interactive, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        speaking = {name: Answering.of(task) for name, task in tasks.items() if not unreadable(task)}
        speaking = speaking if part.turns > 1 else {}
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), speaking)
        self.turns = part.turns
        self.labels = nn.ModuleDict({key(name): Labels(of.outputs, part.size) for name, of in speaking.items()})
        vectors = sum(1 + of.words for of in speaking.values())
        self.f = Merge(trunk.width, part.size * vectors) if speaking else None

    def heard(self, chunk: Chunk, shared: Tensor) -> dict[str, Tensor]:
        if self.f is None:
            return {}
        states = shared
        for _ in range(self.turns - 1):
            states = self.f(states, *self._said(states, chunk.mask))
        return dict.fromkeys(chunk.owned, states)

    def _said(self, states: Tensor, mask: Tensor) -> Iterator[Tensor]:
        """The vectors of all answers, ``[rows, places, size]`` each."""
        for name, of in self.answering.items():
            vectors = self.labels[key(name)](self.says(name, states, mask))
            yield vectors
            if of.words:
                yield over_text(vectors, mask)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.labels:
            yield from self.labels[key(task)].parameters()
