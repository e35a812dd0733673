"""Arrangements in which tasks read what others say about the same rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.heads import Heads, key, pool
from motet.architectures.hierarchical.answering import Answering
from motet.architectures.reading import Together
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk

__all__ = ["Exchange", "Labels", "Merge", "Reader", "over_text"]


class Exchange(Together):
    """One pass of the trunk, then states for the head of each task, in which others have had a say.

    Args:
        trunk: reads the texts.
        heads: of the tasks.
        answering: of the tasks that others read.
    """

    def __init__(self, trunk: Trunk, heads: Heads, answering: Mapping[str, Answering]) -> None:
        super().__init__(trunk, heads)
        self.answering = dict(answering)

    @abstractmethod
    def heard(self, chunk: Chunk, shared: Tensor) -> Mapping[str, Tensor]:
        """What heads read in all rows, ``[rows, length, width]`` by task; one that is left out reads the shared states.

        Args:
            chunk: all rows.
            shared: what the trunk makes of them, ``[rows, length, width]``.
        """

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        heard = self.heard(chunk, read.last)
        return {name: States(heard.get(name, read.last)).at(chunk.owned[name].rows).last for name in parts}

    def says(self, name: str, states: Tensor, mask: Tensor) -> Tensor:
        """What a task answers to all rows from some states, ``[rows, places, outputs]``."""
        return self.answering[name].everywhere(self.heads[key(name)], states, mask)


class Labels(nn.Module):
    """One vector for every label, and the mean of them by their chances: y = sum_c p(c) e_c.

    The vector of a number is multiplied by it.

    Args:
        outputs: labels.
        size: of a vector.
    """

    def __init__(self, outputs: int, size: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(outputs, size))

    def forward(self, chances: Tensor) -> Tensor:
        """Vectors ``[rows, places, size]`` of chances ``[rows, places, outputs]``."""
        return chances @ self.vectors


class Merge(nn.Module):
    """Adds to states what is made of them and of vectors that are read beside: h + V gelu(U [h; y_1; y_2; ...]).

    V is zero at first, which leaves the states as they are.

    Args:
        width: of the states.
        beside: of all that is read beside them.
    """

    def __init__(self, width: int, beside: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width + beside, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, states: Tensor, *read: Tensor) -> Tensor:
        """States ``[rows, length, width]``; what is read has as many places, or one for the whole text."""
        beside = [vectors.expand(-1, states.shape[1], -1) for vectors in read]
        merged: Tensor = self.outer(functional.gelu(self.inner(torch.cat([states, *beside], dim=-1))))
        return states + merged


class Reader(nn.Module):
    """What one task makes of what others say and of the states that it reads beside.

    Args:
        width: of the states.
        vectors: for every task that is read, what makes vectors of what it says.
        size: of such a vector.
        words: whether each word gets what is said of it; otherwise all get the mean over the text.
    """

    def __init__(self, width: int, vectors: Mapping[str, nn.Module], size: int, *, words: bool) -> None:
        super().__init__()
        self.words = words
        self.names = list(vectors)
        self.vectors = nn.ModuleDict({key(name): module for name, module in vectors.items()})
        self.merge = Merge(width, size * len(vectors))

    def forward(self, states: Tensor, said: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """States ``[rows, length, width]``, from those of the trunk and what tasks say ``[rows, places, outputs]``."""
        read = [self.vectors[key(name)](said[name]) for name in self.names]
        merged: Tensor = self.merge(states, *(read if self.words else [over_text(vectors, mask) for vectors in read]))
        return merged


def over_text(vectors: Tensor, mask: Tensor) -> Tensor:
    """The mean over the real tokens of each row, ``[rows, 1, size]``; what stands for the whole text stays."""
    return vectors if vectors.shape[1] == 1 else pool(vectors, mask, "mean").unsqueeze(1)
