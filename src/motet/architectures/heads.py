"""From the states of a trunk to logits: what each answer shape reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.data.batches import Chunk, Owned
from motet.encoders.families import Family
from motet.encoders.trunk import Trunk
from motet.tasks.base import Task

__all__ = ["Head", "Heads", "LanguageHead", "Pooling", "answering", "by_family", "key", "pool", "task_of", "writes"]

Pooling = Literal["auto", "mean", "cls", "last"]


class Heads(nn.ModuleDict):
    """What answers the tasks: a head for each, or the trunk's own way with words for those that write.

    Args:
        trunk: whose states are read.
        tasks: resolved tasks by name.
        pooling: how a text becomes one vector.
        dropout: share of the features dropped while training.
        widths: size of what the head of a task reads, where it is not that of the states of the trunk.
    """

    def __init__(
        self,
        trunk: Trunk,
        tasks: Mapping[str, Task],
        *,
        pooling: Pooling,
        dropout: float,
        widths: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        pooling = by_family(pooling, trunk.family)
        self._levels = {name: task.level for name, task in tasks.items()}
        for name, task in tasks.items():
            width = (widths or {}).get(name, trunk.width)
            if task.level == "masked":
                self[key(name)] = LanguageHead(width, trunk.vocabulary, embedding=trunk.embeddings.embedding_dim)
            elif task.level in ("text", "word"):
                self[key(name)] = Head(
                    task.level, width, task.outputs, pooling=pooling, dropout=dropout, learnt=task.learnt
                )

    def answer(self, name: str, trunk: Trunk, states: Tensor | None, chunk: Chunk) -> Tensor:
        """Logits ``[units, outputs]`` of one task.

        Args:
            name: of the task.
            trunk: whose states these are.
            states: of the whole chunk, ``[rows, length, width]``; None where none is needed.
            chunk: with the units of the task.
        """
        owned, level = chunk.owned[name], self._levels[name]
        if level == "sequence":
            if owned.target is None:
                raise ValueError("logits of a text to be written are those behind a true one")
            tokens, mask = chunk.tokens[owned.rows], chunk.mask[owned.rows]
            here = None if states is None else states[owned.rows]
            return trunk.continued(tokens, mask, here, owned.target.long(), owned.lengths)
        if states is None:
            raise ValueError(f"{name} answers from the states of a text")
        if level in ("text", "word"):
            logits: Tensor = self[key(name)](states, chunk.mask, owned)
            return logits
        if owned.words is None:
            raise ValueError("a language model needs the places of its words")
        words = states[owned.words[0], owned.words[1]]
        said: Tensor = trunk.following(words) if level == "next" else self[key(name)](words, trunk.embeddings.weight)
        return said

    def reads(self, trunk: Trunk, chunk: Chunk) -> bool:
        """Whether any task needs the states of a chunk; a decoder reads rows together with what it writes."""
        return trunk.family != "decoder" or any(self._levels[name] != "sequence" for name in chunk.owned)

    def writes(self, name: str) -> bool:
        """Whether a task has no head here, as `writes` says of tasks."""
        return key(name) not in self

    def of(self, name: str) -> Iterator[nn.Parameter]:
        """The parameters of one task's head."""
        if key(name) in self:
            yield from self[key(name)].parameters()


class Head(nn.Module):
    """Dropout and one linear layer, on a pooled text or on the first sub-word of every word.

    Args:
        level: "text" or "word".
        width: size of the states.
        outputs: logits a unit.
        pooling: how a text becomes one vector.
        dropout: share of the features dropped while training.
        learnt: rows of numbers that depend on no text and stand behind the logits of every chunk.
    """

    def __init__(
        self, level: str, width: int, outputs: int, *, pooling: Pooling, dropout: float, learnt: int = 0
    ) -> None:
        super().__init__()
        self.learnt = nn.Parameter(torch.zeros(learnt, outputs)) if learnt else None
        self.level = level
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, outputs)

    def forward(self, states: Tensor, mask: Tensor, owned: Owned) -> Tensor:
        """Logits ``[units, outputs]``, from the states ``[rows, length, width]`` of a whole chunk."""
        if self.level == "word":
            if owned.words is None:
                raise ValueError("a task that answers words needs the positions of the words")
            return self._logits(states[owned.words[0], owned.words[1]])
        if owned.rows.shape[0] != states.shape[0]:
            states, mask = states[owned.rows], mask[owned.rows]
        return self._logits(pool(states, mask, self.pooling))

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.dropout(features))
        return logits if self.learnt is None else torch.cat([logits.float(), self.learnt])


class LanguageHead(nn.Module):
    """Scores for every sub-word of the vocabulary, from the state at a place where one is hidden.

    A dense layer, GELU and normalisation come before the product with the embedding matrix of the trunk, which stays
    the trunk's own: this head holds a bias alone for every sub-word.

    Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding";
    one matrix for what is read and what is said: Press, Wolf 2017, "Using the Output Embedding to Improve Language
    Models".

    Args:
        width: size of the states.
        vocabulary: rows of the embedding matrix.
        embedding: width of the embedding matrix, where it is not that of the states (ALBERT, ELECTRA).

    Example:
        >>> head = LanguageHead(8, 50, embedding=4)
        >>> head(torch.zeros(3, 8), torch.zeros(50, 4)).shape
        torch.Size([3, 50])
    """

    def __init__(self, width: int, vocabulary: int, *, embedding: int | None = None) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Identity() if embedding in (None, width) else nn.Linear(width, embedding)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """Logits ``[units, vocabulary]`` of features ``[units, width]``, from ``[vocabulary, embedding]``."""
        hidden = self.projection(self.norm(functional.gelu(self.dense(features))))
        return functional.linear(hidden, embeddings, self.bias)


def writes(task: Task) -> bool:
    """Whether a task has no head, because it writes or guesses what comes next with the trunk."""
    return task.level in ("next", "sequence")


def answering(tasks: Mapping[str, Task]) -> list[str]:
    """The tasks that have a head of their own, by name."""
    return [name for name, task in tasks.items() if not writes(task)]


def by_family(pooling: Pooling, family: Family) -> Pooling:
    """The pooling that `auto` stands for: in a decoder the last token alone has seen the whole text."""
    if pooling != "auto":
        return pooling
    return "last" if family == "decoder" else "mean"


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector a row: the mean over real tokens, the first token, or the last real one."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "last":
        return states[torch.arange(states.shape[0], device=states.device), mask.sum(dim=1) - 1]
    weights = mask.to(states.dtype).unsqueeze(-1)
    return torch.sum(states * weights, dim=1) / weights.sum(dim=1)


def key(task: str) -> str:
    """A task's name as that of a module; these hold no dots, and must not hide torch's own attributes."""
    return "of_" + task.replace("%", "%25").replace(".", "%2E")


def task_of(key: str) -> str:
    """The task whose `key` this is.

    Example:
        >>> task_of(key("stars 0.5%"))
        'stars 0.5%'
    """
    return key.removeprefix("of_").replace("%2E", ".").replace("%25", "%")
