"""What every architecture is: a part that arranges task-specific computation around a shared trunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor, nn

from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem
from motet.tasks.base import Task

__all__ = ["Architecture", "Arrangement"]


class Arrangement(nn.Module, ABC):
    """The modules of one model: the trunk and whatever answers the tasks."""

    trunk: Trunk

    @abstractmethod
    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        """Logits ``[units, outputs]`` of every task that owns rows of the chunk, its units in row order."""

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        """The sub-words that a task writes for the rows it owns in a chunk."""
        rows = chunk.owned[task.name].rows
        return self.trunk.generate(chunk.tokens[rows], chunk.mask[rows], longest=task.longest, beams=task.beams)

    @abstractmethod
    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        """The parameters that serve one task alone."""


class Architecture(ABC):
    """The recipe of an arrangement."""

    @abstractmethod
    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        """What does not fit the tasks or the trunk."""

    @abstractmethod
    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        """The arrangement around a trunk, its own parameters initialised from torch's generator."""
