"""Learned input vectors of each task before those of a text."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from motet.architectures.heads import key
from motet.architectures.modular.prepending import PromptArchitecture, Prompts, drawn, read_prompts, transfer
from motet.encoders.trunk import Trunk
from motet.errors import Problem, RunError, nearest, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["PromptTuning"]


@register("architecture", "prompt_tuning")
@dataclass(frozen=True, kw_only=True)
class PromptTuning(PromptArchitecture):
    """Learned input vectors of each task before those of a text, for a frozen trunk.

    The trunk reads them as words in front; heads, and the decoder of an encoder-decoder, see the states of the text
    alone. They begin as the vectors of words drawn from the vocabulary, or as prompts that other tasks have learnt in a
    run before; `motet prompts RUN` tells how near those of tasks are to each other.

    Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning"; beginning with the prompt of
    another task: Vu et al. 2022, "SPoT: Better Frozen Model Adaptation through Soft Prompt Transfer".

    Args:
        length: learned vectors; with 0 only the heads are of a task. Texts must leave them room among the positions
            of the encoder.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.
        sources: a finished run or a model folder, whose prompts tasks begin with.
        start: the task there whose prompt a task begins with, such as ``{mood: topic}``; tasks of the same name begin
            with their own without being named.

    Relations:
        `PrefixTuning` learns keys and values in every layer. `ATTEMPT` and `MPT` let tasks share prompts.

    Example:
        >>> PromptTuning(length=100).freeze
        True
    """

    length: int = 20
    sources: str = ""
    start: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start and not self.sources:
            require([Problem("sources", "is missing: `start` names tasks of another run")])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from super().problems(tasks, trunk)
        for task in self.start:
            if task not in tasks:
                yield Problem(f"architecture.start.{task}", f"names no task. {nearest(task, tasks)}")
        try:
            found = read_prompts(self.sources) if self.sources else {}
        except RunError as error:
            yield Problem("architecture.sources", str(error), self.sources)
            return
        shape = (self.length, trunk.embeddings.embedding_dim)
        for task, source in self._origins(tasks, found).items():
            place = f"architecture.start.{task}"
            if source not in found:
                yield Problem(place, f"names no task of {self.sources}. {nearest(source, found)}", source)
            elif tuple(found[source].shape) != shape:
                rule = f"has a prompt of {_size(found[source].shape)}, where it must be {_size(shape)}"
                yield Problem(place, rule, source)

    def _origins(self, tasks: Iterable[str], found: Container[str]) -> dict[str, str]:
        """The source of each task that has one."""
        return {**{task: task for task in tasks if task in found}, **self.start}

    def prompts(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Prompts:
        own = _Own(trunk, tasks, self.length)
        if self.sources:
            sources = read_prompts(self.sources)
            transfer({name: own.of[key(name)] for name in tasks}, sources, self._origins(tasks, sources))
        return own

    def settled(self) -> PromptTuning:
        return replace(self, sources="", start={})


class _Own(Prompts):
    def __init__(self, trunk: Trunk, tasks: Iterable[str], length: int) -> None:
        super().__init__()
        self.of = nn.ParameterDict({key(name): drawn(trunk, length) for name in tasks})

    def forward(self, task: str, texts: Tensor, mask: Tensor) -> Tensor:
        prompt: Tensor = self.of[key(task)]
        return prompt.expand(len(texts), -1, -1)


def _size(shape: Sequence[int]) -> str:
    return " by ".join(map(str, shape))
