"""Prompts mixed for every text from those of source tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.heads import key, writes
from motet.architectures.modular.prepending import PromptArchitecture, Prompts, drawn
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, positive, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["ATTEMPT"]


@register("architecture", "attempt")
@dataclass(frozen=True, kw_only=True)
class ATTEMPT(PromptArchitecture):
    """A prompt of each task plus source prompts that every text mixes for itself, before a frozen trunk.

    A small network reads the largest value of every feature over the words of a text; its products with the largest
    values over each source prompt say, through a softmax, how much of that prompt is added to the task's own. Source
    prompts are learned together with the tasks, or put in place by ``take(sources)`` and kept.

    Source: Asai et al. 2022, "ATTEMPT: Parameter-Efficient Multi-task Tuning via Attentional Mixtures of Soft
    Prompts".

    Args:
        length: vectors of a prompt; with 0 only the heads are of a task.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector for the heads; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.
        sources: number of source prompts.
        freeze_sources: whether they stay what they are.
        bottleneck: width within the network.
        temperature: divides the products before the softmax.
        shared_attention: one network for all tasks, in place of one for each.
        target_competes: whether the prompt of the task takes part in the softmax too.

    Relations:
        `MPT` multiplies one shared prompt; `PromptTuning` has the prompt of the task alone, and can begin with
        that of another.

    Example:
        >>> ATTEMPT(sources=6, freeze_sources=True).length
        100
    """

    sources: int = 4
    freeze_sources: bool = False
    bottleneck: int = 100
    temperature: float = 2000.0
    shared_attention: bool = True
    target_competes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = at_least(1, sources=self.sources, bottleneck=self.bottleneck)
        require([*counts, *positive(temperature=self.temperature)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from super().problems(tasks, trunk)
        for name, task in tasks.items():
            if self.length and trunk.family == "decoder" and writes(task):
                rule = "writes behind its text, where a prompt made of all words would give away those to come"
                yield Problem(f"tasks.{name}", rule, remedy="Take `prompt_tuning` or `mpt`.")

    def prompts(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Prompts:
        return _Mixtures(self, trunk, tasks)


class _Mixtures(Prompts):
    def __init__(self, part: ATTEMPT, trunk: Trunk, tasks: Iterable[str]) -> None:
        super().__init__()
        width = trunk.embeddings.embedding_dim
        self.temperature, self.target_competes = part.temperature, part.target_competes
        learned = not part.freeze_sources
        self.sources = nn.Parameter(torch.stack([drawn(trunk, part.length) for _ in range(part.sources)]), learned)
        self.of = nn.ParameterDict({key(name): drawn(trunk, part.length) for name in tasks})
        names = [""] if part.shared_attention else list(tasks)
        self.attention = nn.ModuleDict({key(name): _Attention(width, part.bottleneck) for name in names})

    @torch.no_grad()
    def take(self, sources: Tensor) -> None:
        """Put source prompts in place, ``[sources, length, width]``."""
        self.sources.copy_(sources)

    def forward(self, task: str, texts: Tensor, mask: Tensor) -> Tensor:
        target: Tensor = self.of[key(task)]
        mixed = torch.cat([self.sources, target[None]]) if self.target_competes else self.sources
        largest = texts.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)
        attention = self.attention[key(task) if key(task) in self.attention else key("")]
        weights = (attention(largest) @ mixed.amax(dim=1).T / self.temperature).softmax(dim=1)
        return target + torch.einsum("rj,jlw->rlw", weights, mixed)


class _Attention(nn.Module):
    """What a text looks for in source prompts."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck, bias=False)
        self.up = nn.Linear(bottleneck, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, largest: Tensor) -> Tensor:
        looked: Tensor = self.norm(self.up(functional.silu(self.down(largest))))
        return looked
