"""Arrangements whose heads read states that are made for each task, on its rows alone, from those of the trunk."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from motet.architectures.base import Arrangement
from motet.data.batches import Chunk
from motet.encoders.trunk import States

__all__ = ["Reading", "Together"]


class Together(Arrangement):
    """One pass of the trunk for all rows, then states for all tasks at once.

    Tasks that write, or guess what comes next, do so with the trunk as it is.

    Attributes:
        inner: whether the states of every layer are wanted.
    """

    inner: ClassVar[bool] = False

    @abstractmethod
    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        """What the heads read, ``[rows, length, width]`` by task.

        Args:
            chunk: all rows.
            parts: the rows of each task with a head, by themselves; there is at least one.
            read: what the trunk makes of all rows.
        """

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        read = self.read(chunk, inner=self.inner)
        parts = {name: chunk.part(name) for name in chunk.owned if not self.heads.writes(name)}
        made = {} if read is None or not parts else self.every(chunk, parts, read)
        last = None if read is None else read.last
        return {
            name: self.heads.answer(name, self.trunk, made.get(name, last), parts.get(name, chunk))
            for name in chunk.owned
        }


class Reading(Together):
    """One pass of the trunk for all rows, then states for each task by itself."""

    @abstractmethod
    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        """What the head of a task reads, ``[rows, length, width]``.

        Args:
            task: that owns the rows.
            part: the rows of the task alone.
            read: what the trunk makes of these rows.
        """

    def every(self, chunk: Chunk, parts: Mapping[str, Chunk], read: States) -> Mapping[str, Tensor]:
        return {name: self.states(name, part, read.at(chunk.owned[name].rows)) for name, part in parts.items()}
