"""What every architecture is: a part that arranges task-specific computation around a shared trunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn
from transformers import PreTrainedModel

from motet.data.batches import Chunk
from motet.errors import Problem
from motet.tasks.base import Task

__all__ = ["Architecture", "Arrangement"]


class Arrangement(nn.Module, ABC):
    """The modules of one model: the trunk and whatever answers the tasks."""

    trunk: PreTrainedModel

    @abstractmethod
    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        """Logits ``[units, outputs]`` of every task that owns rows of the chunk, its units in row order."""

    @abstractmethod
    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        """The parameters that serve one task alone."""


class Architecture(ABC):
    """The recipe of an arrangement."""

    @abstractmethod
    def problems(self, tasks: Sequence[str], layers: int) -> Iterable[Problem]:
        """What does not fit the tasks or the depth of the trunk."""

    @abstractmethod
    def build(self, trunk: PreTrainedModel, tasks: Mapping[str, Task]) -> Arrangement:
        """The arrangement around a trunk, its own parameters initialised from torch's generator."""
