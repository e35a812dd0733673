"""The words that count for one task are those that another marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.hierarchical.answering import Answering
from motet.architectures.reading import Reading
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, below_one, nearest, require
from motet.registry import register
from motet.tasks.base import Task
from motet.tasks.tagging import Tagging

__all__ = ["SignalPipeline"]


@register("architecture", "signal_pipeline")
@dataclass(frozen=True, kw_only=True)
class SignalPipeline(Architecture):
    """A task about texts reads the words that a tagger marks.

    The chance p_i that a word is part of anything, which is one less the chance of the label `outside`, weighs the
    state of that word. The head of the task about the text pools

        h'_i = (1 - g) h_i + g sum_j p_j h_j / sum_j p_j

    over the real tokens j of the row, so that with any pooling it gets that mixture of the text as it would pool it
    and of the marked words. g is learned for each task that reads; with g = 0 this is hard sharing. The tagger marks
    all rows, those that it does not label too, and every sub-word. A loss of the reading task also teaches the tagger
    what to mark, unless `detach`.

    Source: Isonuma et al. 2017, "Extractive Summarization Using Multi-Task Learning with Document Classification",
    where the chance that a sentence is extracted weighs it in the document that is classified; a chance that mixes
    two sets of features: Maddela, Xu, Preoţiuc-Pietro 2019, "Multi-task Pairwise Neural Ranking for Hashtag
    Segmentation".

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        signals: for each task that reads, the tagger whose words it reads.
        start: g before training; 1 reads nothing but marked words, as in the paper.
        detach: whether the tagger learns nothing from the losses of those that read it.
        dropout: before the last linear layer of each head.

    Relations:
        `pipeline` reads which labels are given; this one reads what stands where they are given.

    Example:
        >>> SignalPipeline(signals={"rating": "opinions"}).start
        0.0
    """

    pooling: Pooling = "auto"
    signals: Mapping[str, str] = field(default_factory=dict)
    start: float = 0.0
    detach: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        yield from below_one(dropout=self.dropout)
        if not 0 <= self.start <= 1:
            yield Problem("start", "must be at least 0 and at most 1", str(self.start))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for name, tagger in self.signals.items():
            place = f"architecture.signals.{name}"
            for stranger in dict.fromkeys(task for task in (name, tagger) if task not in tasks):
                yield Problem(place, f"names no task. {nearest(stranger, tasks)}", stranger)
            if name in tasks and tasks[name].level != "text":
                yield Problem(place, "is for tasks that give a text one answer")
            if tagger in tasks and not isinstance(tasks[tagger], Tagging):
                yield Problem(place, "must be a task that labels words", tagger)

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _SignalPipeline(self, trunk, tasks)


class _SignalPipeline(Reading):
    def __init__(self, part: SignalPipeline, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.signals, self.detach = dict(part.signals), part.detach
        self.mixtures = nn.ParameterDict({key(name): torch.tensor(float(part.start)) for name in self.signals})
        self.answering = {name: Answering.of(tasks[name]) for name in self.signals.values()}
        self.outside = {name: _outside(tasks[name]) for name in self.answering}

    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        if task not in self.signals:
            return read.last
        weights = self._marked(self.signals[task], read.last, part.mask)
        marked = torch.sum(weights.unsqueeze(-1) * read.last, dim=1, keepdim=True)
        g: Tensor = self.mixtures[key(task)]
        return (1 - g) * read.last + g * marked

    def _marked(self, tagger: str, states: Tensor, mask: Tensor) -> Tensor:
        """How much each token is marked, ``[rows, length]``; those of a row sum to 1."""
        said = self.answering[tagger].everywhere(self.heads[key(tagger)], states, mask)
        said = said.detach() if self.detach else said
        outside = self.outside[tagger]
        # the sum of all other labels, since one less the chance of this one may round to 0 for every word
        chances = (said[..., :outside].sum(dim=-1) + said[..., outside + 1 :].sum(dim=-1)) * mask
        shares: Tensor = chances / chances.sum(dim=1, keepdim=True).clamp(min=torch.finfo(chances.dtype).tiny)
        return shares

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if task in self.signals:
            yield self.mixtures[key(task)]


def _outside(task: Task) -> int:
    if not isinstance(task, Tagging):
        raise TypeError(f"{task.name} labels no words")
    return task.classes.index(task.outside)
