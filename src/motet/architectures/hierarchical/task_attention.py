"""Each task looks at the features of all tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, answering, key
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Look", "TaskAttention"]


@register("architecture", "task_attention")
@dataclass(frozen=True, kw_only=True)
class TaskAttention(Architecture):
    """Attention of each task over the features of all tasks.

    Every task j has a small feature F_j = P_j s of the states s of a token. A task t asks with its own and is answered
    by those of all,

        a_j = softmax_j((Q_t F_t) F_j / sqrt(size))    and    h_t = s + tanh(alpha_t) O_t sum_j a_j F_j.

    The gate alpha_t begins at 0, at which this is hard sharing. The features are shared parameters; Q_t, O_t and
    alpha_t serve the task alone.

    Source: the attention of a task over the features of others, as in Liu et al. 2018, "Empower Sequence Labeling with
    Task-Aware Neural Language Model", among the fusions of features in Zhang et al. 2023, "A Survey of Multi-task
    Learning in Natural Language Processing: Regarding Task Relatedness and Training Methods"; the gate: Bachlechner et
    al. 2021, "ReZero is All You Need: Fast Convergence at Large Depth".

    Args:
        size: of a task's feature.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `pad_net` gates every pair of tasks instead, with features of full width.

    Example:
        >>> TaskAttention(size=32).size
        32
    """

    size: int = 64
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require([*at_least(1, size=self.size), *below_one(dropout=self.dropout)])

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _TaskAttention(self, trunk, tasks)


class Look(nn.Module):
    """What one task takes from the features of all tasks.

    Args:
        width: size of the states.
        size: of a feature.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(size, size)
        self.output = nn.Linear(size, width)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, own: Tensor, features: Tensor) -> Tensor:
        """What is added to the states ``[..., width]``, from features ``[..., size]`` and ``[..., tasks, size]``."""
        scores = (features @ self.query(own).unsqueeze(-1)).squeeze(-1) * own.shape[-1] ** -0.5
        context = (scores.softmax(dim=-1).unsqueeze(-2) @ features).squeeze(-2)
        added: Tensor = torch.tanh(self.gate) * self.output(context)
        return added


class _TaskAttention(Together):
    def __init__(self, part: TaskAttention, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.tasks = answering(tasks)
        self.features = nn.Linear(trunk.width, max(1, len(self.tasks)) * part.size)
        self.looks = nn.ModuleDict({key(name): Look(trunk.width, part.size) for name in self.tasks})

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        features = self.features(read.last).unflatten(-1, (len(self.tasks), -1))
        states = {}
        for name in parts:
            rows = chunk.owned[name].rows
            here = features[rows]
            states[name] = read.last[rows] + self.looks[key(name)](here[..., self.tasks.index(name), :], here)
        return states

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.looks:
            yield from self.looks[key(task)].parameters()
