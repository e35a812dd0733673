"""First features of every task, exchanged through gates before the heads read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.experts import Experts
from motet.architectures.heads import Heads, Pooling, answering, key
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["PADNet", "Refinement"]


@register("architecture", "pad_net")
@dataclass(frozen=True, kw_only=True)
class PADNet(Architecture):
    """Prediction distillation: tasks refine their features with those of the others, through gates.

    Every task k makes a first feature F_k of the states of each token, by a small network with a residual. Then

        F_k^out = F_k + sum_{j != k} sigmoid(W_kj F_k) * (V_kj F_j),

    which its head reads. V_kj begin at zero and the networks as identities, at which this is hard sharing; with gates
    forced to 0 each task has a network of its own between trunk and head. Every pair of tasks has two matrices of the
    width of the trunk, so that this is for few tasks.

    With `first` above 0 every task also answers from F_k, by a head that is used while training alone, and this first
    prediction is taught as the final one is, from labels or from a teacher.

    Source: Xu, Ouyang, Wang, Sebe 2018, "PAD-Net: Multi-Tasks Guided Prediction-and-Distillation Network for
    Simultaneous Depth Estimation and Scene Parsing".

    Args:
        size: hidden features of the network that makes a first feature.
        first: weight of the losses of first predictions; 0 makes none. The paper weighs them as the final ones, 1.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `task_attention` lets tasks choose among small features of each other, at a cost that grows with the tasks and
        not with their pairs.

    Example:
        >>> PADNet(size=64).dropout
        0.1
    """

    size: int = 128
    first: float = 0.0
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require([*at_least(1, size=self.size), *at_least(0, first=self.first), *below_one(dropout=self.dropout)])

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _PADNet(self, trunk, tasks)


class Refinement(nn.Module):
    """What one task takes over from the features of others.

    Args:
        others: positions of the other tasks.
        width: size of the features.
    """

    def __init__(self, others: Sequence[int], width: int) -> None:
        super().__init__()
        self.others = list(others)
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in others)
        self.values = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in others)
        for value in self.values.children():
            nn.init.zeros_(next(value.parameters()))

    def forward(self, own: Tensor, features: Tensor) -> Tensor:
        """The refined feature ``[..., width]``, from one's own and those of all tasks, ``[..., tasks, width]``."""
        refined = own
        for other, gate, value in zip(self.others, self.gates, self.values, strict=True):
            refined = refined + torch.sigmoid(gate(own)) * value(features[..., other, :])
        return refined


class _PADNet(Together):
    def __init__(self, part: PADNet, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.tasks = answering(tasks)
        self.features = Experts(len(self.tasks), trunk.width, part.size)
        self.first = part.first
        self.first_heads = Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout) if part.first else None
        places = range(len(self.tasks))
        self.refinements = nn.ModuleDict(
            {
                key(name): Refinement([other for other in places if other != place], trunk.width)
                for place, name in enumerate(self.tasks)
            }
        )

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        features = self.features(read.last)
        self.early, states = {}, {}
        for name, part in parts.items():
            here = features[chunk.owned[name].rows]
            own = here[..., self.tasks.index(name), :]
            states[name] = self.refinements[key(name)](own, here)
            if self.training and self.first_heads is not None:
                self.early[name] = self.first, self.first_heads.answer(name, self.trunk, own, part)
        return states

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if self.first_heads is not None:
            yield from self.first_heads.of(task)
        if key(task) in self.refinements:
            yield from self.refinements[key(task)].parameters()
