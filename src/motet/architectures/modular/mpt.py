"""One prompt for all tasks, multiplied by a matrix of low rank for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.architectures.heads import key
from motet.architectures.modular.prepending import PromptArchitecture, Prompts, drawn
from motet.encoders.trunk import Trunk
from motet.errors import at_least, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["MPT"]


@register("architecture", "mpt")
@dataclass(frozen=True, kw_only=True)
class MPT(PromptArchitecture):
    """One prompt for all tasks, multiplied element by element by a matrix of low rank for each, before a frozen trunk.

    The prompt of a task is ``P * (u_t v_t^T)``. The matrix begins as ones, so that all tasks begin with the shared
    prompt. In the first stage of the paper models with prompts of single tasks teach it by their logits and states:
    these are `teachers` with `states`; without, it is learnt from labels alone. The second stage, other tasks on the
    shared prompt of the first, is a run with `start_from`.

    Source: Wang et al. 2023, "Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning".

    Args:
        length: vectors of a prompt; with 0 only the heads are of a task.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.
        rank: of the matrix of a task.
        freeze_prompt: whether the shared prompt stays what it is.

    Relations:
        `ATTEMPT` adds several prompts; `PromptTuning` shares none.

    Example:
        >>> MPT(rank=2).freeze
        True
    """

    rank: int = 1
    freeze_prompt: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(at_least(1, rank=self.rank))

    def prompts(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Prompts:
        return _Products(self, trunk, tasks)


class _Products(Prompts):
    def __init__(self, part: MPT, trunk: Trunk, tasks: Iterable[str]) -> None:
        super().__init__()
        self.shared = nn.Parameter(drawn(trunk, part.length), not part.freeze_prompt)
        width = trunk.embeddings.embedding_dim
        self.u = nn.ParameterDict({key(name): _beginning(part.length, part.rank, 1.0) for name in tasks})
        self.v = nn.ParameterDict({key(name): _beginning(width, part.rank, 0.0) for name in tasks})

    def forward(self, task: str, texts: Tensor, mask: Tensor) -> Tensor:
        prompt: Tensor = self.shared * (self.u[key(task)] @ self.v[key(task)].T)
        return prompt.expand(len(texts), -1, -1)


def _beginning(rows: int, rank: int, noise: float) -> Tensor:
    """Ones in the first column; behind it one side is random and the other zero, so that their product is."""
    return torch.cat([torch.ones(rows, 1), 0.02 * noise * torch.randn(rows, rank - 1)], dim=1)
