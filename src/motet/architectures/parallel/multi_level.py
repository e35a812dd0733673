"""A layer of the trunk for each task, and short cuts from below the first layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, answering, key, writes
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, below_one, nearest, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["MultiLevel"]


@register("architecture", "multi_level")
@dataclass(frozen=True, kw_only=True)
class MultiLevel(Architecture):
    """Each task is supervised at a layer of its own, with a short cut from the embeddings if wanted.

    A task at layer l trains the layers up to l alone. With short cuts its head reads M_t [h^(l); h^(0)], where h^(0) is
    what the first layer is given; M_t is a linear map of the task that begins as the identity on h^(l), and brings its
    gradient straight to the embeddings.

    A language model on low layers beside the other tasks is a task `masked_language` with a low layer here.

    Source: Søgaard, Goldberg 2016, "Deep multi-task learning with low level tasks supervised at lower layers"; Sanh,
    Wolf, Ruder 2019, "A Hierarchical Multi-task Approach for Learning Embeddings from Semantic Tasks"; short cuts: Gong
    et al. 2019, "Deep Cascade Multi-task Learning for Slot Filling in Online Shopping Assistant"; language models
    beside: Rei 2017, "Semi-supervised Multitask Learning for Sequence Labeling".

    Args:
        layers: the trunk layer at which a task is supervised (1 is the first); by default the last.
        shortcut: whether heads read the embeddings too.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        Without short cuts this is `hard_sharing` with the same `read_layer`, which can also give tasks layers of their
        own. `feature_fusion` learns which layers a task reads.

    Example:
        >>> MultiLevel(layers={"tags": 3, "words": 2}, shortcut=True).layers["words"]
        2
    """

    layers: Mapping[str, int] = field(default_factory=dict)
    shortcut: bool = False
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(below_one(dropout=self.dropout))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for name, layer in self.layers.items():
            place = f"architecture.layers.{name}"
            if name not in tasks:
                yield Problem(place, f"names no task. {nearest(name, tasks)}")
            elif writes(tasks[name]):
                yield Problem(place, "is for tasks with a head of their own; this one writes with the whole trunk")
            elif not 1 <= layer <= trunk.depth:
                yield Problem(place, f"must be 1 to {trunk.depth}", str(layer))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _MultiLevel(self, trunk, tasks)


class _MultiLevel(Together):
    inner: ClassVar[bool] = True

    def __init__(self, part: MultiLevel, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.layers = {name: layer for name, layer in part.layers.items() if layer < trunk.depth}
        named = answering(tasks) if part.shortcut else ()
        self.merges = nn.ModuleDict({key(name): _merge(trunk.width) for name in named})

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        states = {}
        for name in parts:
            rows = chunk.owned[name].rows
            states[name] = read.after(self.layers.get(name))[rows]
            if key(name) in self.merges:
                states[name] = self.merges[key(name)](torch.cat([states[name], read.after(0)[rows]], dim=-1))
        return states

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.merges:
            yield from self.merges[key(task)].parameters()


def _merge(width: int) -> nn.Linear:
    """A map of two states beside each other that begins as the identity on the first."""
    merge = nn.Linear(2 * width, width)
    nn.init.eye_(merge.weight)
    nn.init.zeros_(merge.bias)
    return merge
