"""Arrangements whose heads read states that are made for each task, on its rows alone, from those of the trunk."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from motet.architectures.base import Arrangement
from motet.data.batches import Chunk
from motet.encoders.trunk import States

__all__ = ["Reading"]


class Reading(Arrangement):
    """One pass of the trunk for all rows, then states for each task.

    Tasks that write, or guess what comes next, do so with the trunk as it is.

    Attributes:
        inner: whether the states of every layer are wanted.
    """

    inner: ClassVar[bool] = False

    @abstractmethod
    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        """What the head of a task reads, ``[rows, length, width]``.

        Args:
            task: that owns the rows.
            part: the rows of the task alone.
            read: what the trunk makes of these rows.
        """

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        read: States | None = None
        if self.heads.reads(self.trunk, chunk):
            read = self.trunk(chunk.tokens, chunk.mask, chunk.types, inner=self.inner)
        logits = {}
        for name, owned in chunk.owned.items():
            part, states = chunk, None if read is None else read.last
            if read is not None and not self.heads.writes(name):
                part = chunk.part(name)
                states = self.states(name, part, read.at(owned.rows))
            logits[name] = self.heads.answer(name, self.trunk, states, part)
        return logits
