"""Vectors in front of what a trunk reads, those of each task before its own rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, task_of
from motet.architectures.routing import Route, Routed, without_cache
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, RecipeError, RunError, at_least, below_one, require
from motet.tasks.base import Task

__all__ = [
    "Prepended",
    "PromptArchitecture",
    "Prompts",
    "drawn",
    "read_prompts",
    "similarities",
    "transfer",
]


@dataclass(frozen=True, kw_only=True)
class PromptArchitecture(Architecture):
    """What architectures with prompts have in common; their fields say what is meant."""

    length: int = 100
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require([*at_least(0, length=self.length), *below_one(dropout=self.dropout)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        if trunk.positions is not None and self.length >= trunk.positions:
            rule = f"must leave room for a text in the {trunk.positions} positions of the encoder"
            yield Problem("architecture.length", rule, str(self.length))

    @property
    def places(self) -> int:
        return self.length

    def settled(self) -> PromptArchitecture:
        """The same once its prompts have begun: without the files that they began with."""
        return self

    @abstractmethod
    def prompts(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Prompts:
        """What makes the prompts, its parameters initialised from torch's generator."""

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Prepended:
        heads = Heads(trunk, tasks, pooling=self.pooling, dropout=self.dropout)
        prompts = self.prompts(trunk, tasks) if self.length else None
        return Prepended(trunk, heads, prompts, freeze=self.freeze)


class Prompts(nn.Module, ABC):
    """Makes the prompts of tasks."""

    @abstractmethod
    def forward(self, task: str, texts: Tensor, mask: Tensor) -> Tensor:
        """The vectors before some rows of a task, ``[rows, length, width]``.

        Args:
            task: that owns the rows.
            texts: the vectors of their sub-words, ``[rows, sub-words, width]``.
            mask: 1 where there is a sub-word, ``[rows, sub-words]``.
        """


class Prepended(Routed):
    """An arrangement whose trunk reads prompts before its texts.

    The trunk takes them for words in front; heads, and the decoder of an encoder-decoder, see the states of the text
    alone.

    Args:
        trunk: that reads.
        heads: of the tasks.
        prompts: makes the vectors; None for none.
        freeze: whether the trunk keeps its weights.
    """

    def __init__(self, trunk: Trunk, heads: Heads, prompts: Prompts | None, *, freeze: bool) -> None:
        super().__init__(trunk, heads, freeze=freeze)
        self.prompts = prompts
        if prompts is not None:
            entrance = _Entrance(self.route, prompts, trunk)
            trunk.reader.register_forward_pre_hook(entrance.prepend, with_kwargs=True)
            trunk.reader.register_forward_hook(entrance.cut)

    def settled(self, architecture: Architecture) -> Architecture:
        return architecture.settled() if isinstance(architecture, PromptArchitecture) else architecture

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        if self.trunk.family != "decoder" or self.prompts is None:
            return super().write(chunk, task)
        with without_cache(self.trunk):  # what it remembers would be longer than what it was given
            return super().write(chunk, task)


class _Entrance:
    """Where prompts join a pass of the trunk and leave it again."""

    def __init__(self, route: Route, prompts: Prompts, trunk: Trunk) -> None:
        self.route, self.prompts = route, prompts
        self.embeddings, self.positions = trunk.embeddings, trunk.positions
        self.length = 0

    def prepend(self, reader: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments of a pass, with the prompts of the tasks before the vectors of their rows."""
        if not self.route.segments:
            return None
        tokens = args[0] if args else kwargs["input_ids"]
        mask = kwargs.get("attention_mask")
        mask = torch.ones_like(tokens) if mask is None else mask  # `generate` leaves out one that hides nothing
        texts = self.embeddings(tokens)
        made = torch.cat([self.prompts(task, texts[rows], mask[rows]) for task, rows in self.route.segments])
        self.length = made.shape[1]
        self._require_room(self.length + tokens.shape[1])
        before = tokens.new_ones(len(tokens), self.length)
        longer = {"attention_mask": torch.cat([before.to(mask.dtype), mask], dim=1)}
        if kwargs.get("token_type_ids") is not None:
            longer["token_type_ids"] = torch.cat([0 * before, kwargs["token_type_ids"]], dim=1)
        if kwargs.get("position_ids") is not None:
            later = kwargs["position_ids"].expand(len(tokens), -1) + self.length
            longer["position_ids"] = torch.cat([before.cumsum(dim=1) - 1, later], dim=1)
        return (), {**kwargs, **longer, "input_ids": None, "inputs_embeds": torch.cat([made.to(texts), texts], dim=1)}

    def cut(self, reader: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """What the trunk returned, with the states of the texts alone."""
        if self.route.segments:
            output.last_hidden_state = output.last_hidden_state[:, self.length :]
        return output

    def _require_room(self, longest: int) -> None:
        if self.positions is not None and longest > self.positions:
            rule = f"must leave {self.length} of the {self.positions} positions of the encoder to prompts"
            raise RecipeError(Problem("encoder.max_length", rule, str(longest - self.length)))


@torch.no_grad()
def drawn(trunk: Trunk, length: int) -> Tensor:
    """A prompt to begin with: the vectors of words drawn from the vocabulary, ``[length, width]``."""
    weight = trunk.embeddings.weight
    vectors: Tensor = trunk.embeddings(torch.randint(trunk.vocabulary, (length,), device=weight.device))
    return vectors.clone()


@torch.no_grad()
def transfer(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor], origins: Mapping[str, str]) -> None:
    """Initialise the prompts of tasks with those that other tasks have learnt.

    Source: Vu et al. 2022, "SPoT: Better Frozen Model Adaptation through Soft Prompt Transfer".

    Args:
        targets: prompts that are overwritten, by task.
        sources: prompts, by task.
        origins: the source of each target.

    Raises:
        ValueError: prompts differ in length or width.

    Example:
        >>> target, source = torch.zeros(2, 3), torch.ones(2, 3)
        >>> transfer({"new": target}, {"old": source}, {"new": "old"})
        >>> target.sum().item()
        6.0
    """
    for target, source in origins.items():
        if targets[target].shape != sources[source].shape:
            shapes = f"{tuple(sources[source].shape)} for {tuple(targets[target].shape)}"
            raise ValueError(f"the prompt of `{source}` does not fit that of `{target}`: {shapes}")
        targets[target].copy_(sources[source])


@torch.no_grad()
def similarities(prompts: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """How near the prompts of tasks are to those of others: the cosine between their means over positions.

    Source: Vu et al. 2022, who choose source tasks in this way, by prompts from early in the training of the target.

    Args:
        prompts: ``[length, width]`` by task.
        sources: the others, of any length.

    Returns:
        By task, the cosine with each of the others.

    Example:
        >>> sources = {"a": torch.tensor([[0.0, 9.0]]), "b": torch.tensor([[3.0, 0.0]])}
        >>> similarities({"new": torch.tensor([[2.0, 0.0]])}, sources)
        {'new': {'a': 0.0, 'b': 1.0}}
    """

    def cosine(one: Tensor, other: Tensor) -> float:
        return nn.functional.cosine_similarity(one.double().mean(dim=0), other.double().mean(dim=0), dim=0).item()

    return {
        task: {name: cosine(prompt, source) for name, source in sources.items()} for task, prompt in prompts.items()
    }


def read_prompts(path: str | Path) -> dict[str, Tensor]:
    """The prompts of the tasks of a finished run or a model folder, ``[length, width]`` by task.

    Those of `prompt_tuning`; of `mpt`, multiplied out; of `attempt`, what is the task's own.

    Raises:
        RunError: there are none.
    """
    folder = Path(path, "model") if Path(path, "model").is_dir() else Path(path)
    try:
        loaded = load_file(folder / "heads.safetensors")
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is no finished run and no model folder ({error})") from error
    found = {task_of(name): prompt for name, prompt in _under("prompts.of.", loaded).items()}
    right = _under("prompts.v.", loaded)
    for name, left in _under("prompts.u.", loaded).items():
        found[task_of(name)] = loaded["prompts.shared"] * (left @ right[name].T)
    if not found:
        raise RunError(f"{path} has no prompts: its architecture is another")
    return dict(sorted(found.items()))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
