"""Learned input vectors of each task before those of a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from motet.architectures.heads import key
from motet.architectures.modular.prepending import PromptArchitecture, Prompts, drawn
from motet.encoders.trunk import Trunk
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["PromptTuning"]


@register("architecture", "prompt_tuning")
@dataclass(frozen=True, kw_only=True)
class PromptTuning(PromptArchitecture):
    """Learned input vectors of each task before those of a text, for a frozen trunk.

    The trunk reads them as words in front; heads, and the decoder of an encoder-decoder, see the states of the text
    alone. They begin as the vectors of words drawn from the vocabulary.

    Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning".

    Args:
        length: learned vectors; with 0 only the heads are of a task. Texts must leave them room among the positions
            of the encoder.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `PrefixTuning` learns keys and values in every layer. `ATTEMPT` and `MPT` let tasks share prompts.

    Example:
        >>> PromptTuning(length=100).freeze
        True
    """

    length: int = 20

    def prompts(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Prompts:
        return _Own(trunk, tasks, self.length)


class _Own(Prompts):
    def __init__(self, trunk: Trunk, tasks: Iterable[str], length: int) -> None:
        super().__init__()
        self.of = nn.ParameterDict({key(name): drawn(trunk, length) for name in tasks})

    def forward(self, task: str, texts: Tensor, mask: Tensor) -> Tensor:
        prompt: Tensor = self.of[key(task)]
        return prompt.expand(len(texts), -1, -1)
