"""What every architecture is: a part that arranges task-specific computation around a shared trunk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from motet.architectures.heads import Heads
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem
from motet.tasks.base import Task

__all__ = ["Architecture", "Arrangement"]


class Arrangement(nn.Module, ABC):
    """The modules of one model: the trunk and whatever answers the tasks.

    Attributes:
        one_pass: whether the trunk reads a chunk as it is, once, and heads read what it returns. Balances of the
            representation and regularisers that compare representations need it.
        trunk: reads texts.
        heads: answer the tasks.
        extras: what the architecture adds to the losses, each a mean over the rows of the chunk that was read last;
            filled while training alone.
        early: answers on the way to those of `forward`, by task, each with the weight of its loss; a task learns from
            them as from its answer. Filled while training alone.
    """

    one_pass: ClassVar[bool] = True
    trunk: Trunk
    heads: Heads
    extras: dict[str, Tensor]
    early: dict[str, tuple[float, Tensor]]

    def __init__(self, trunk: Trunk, heads: Heads) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads
        self.extras = {}
        self.early = {}

    @abstractmethod
    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        """Logits ``[units, outputs]`` of every task that owns rows of the chunk, its units in row order."""

    def begin(self, step: int, steps: int) -> None:
        """Hear which of how many logical steps comes next; what changes with time depends on nothing else."""

    def read(self, chunk: Chunk, *, inner: bool = False) -> States | None:
        """What the trunk makes of a chunk, on request layer by layer; None where no task needs it."""
        if not self.heads.reads(self.trunk, chunk):
            return None
        states: States = self.trunk(chunk.tokens, chunk.mask, chunk.types, inner=inner)
        return states

    def answers(self, chunk: Chunk, read: States | None) -> dict[str, Tensor]:
        """The logits of all tasks of a chunk whose heads read the last states of the trunk."""
        states = None if read is None else read.last
        return {name: self.heads.answer(name, self.trunk, states, chunk) for name in chunk.owned}

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        """The sub-words that a task writes for the rows it owns in a chunk."""
        rows = chunk.owned[task.name].rows
        return self.trunk.generate(chunk.tokens[rows], chunk.mask[rows], longest=task.longest, beams=task.beams)

    def settled(self, architecture: Architecture) -> Architecture:
        """How this was made, for a model folder: what was read from files that lie elsewhere is held here by now."""
        return architecture

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        """The parameters that serve one task alone."""
        return self.heads.of(task)

    def pretrained_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that learn at the rate of the trunk, because they begin as a part of one."""
        return self.trunk.parameters()


class Architecture(ABC):
    """The recipe of an arrangement."""

    @property
    def places(self) -> int:
        """Positions of the trunk that are taken before those of a text."""
        return 0

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        """What does not fit the tasks or the trunk."""
        return ()

    @abstractmethod
    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        """The arrangement around a trunk, its own parameters initialised from torch's generator."""
