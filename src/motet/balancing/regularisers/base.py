"""What every regulariser is: a loss beside those of the tasks, on parameters or on representations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from motet.errors import Problem, at_least, require

__all__ = ["Features", "Parameters", "Penalty", "Regulariser"]


@dataclass(frozen=True)
class Features:
    """What the trunk makes of the rows that one task has in a batch.

    Args:
        states: a vector a row, ``[rows, width]``.
        labels: the class of every row, ``[rows]``; None where a text has no single class, and where the task does not
            learn from true labels.
    """

    states: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class Parameters:
    """The trained parameters of a model, by whom they serve.

    Args:
        shared: those that serve more than one task.
        own: by task, those that serve it alone.
        layers: by task, those of its own that are no part of its head, under names that are equal where parameters of
            several tasks correspond to each other.
    """

    shared: Sequence[nn.Parameter]
    own: Mapping[str, Sequence[nn.Parameter]]
    layers: Mapping[str, Mapping[str, nn.Parameter]]


class Penalty(nn.Module, ABC):
    """A regulariser at work: one number a batch, to be added to the losses as it is; saved with every checkpoint.

    All of its state is in buffers. It is zero, not an error, where a batch has nothing to compare.
    """

    __call__: Callable[..., Tensor]

    def begin(self, step: int, live: Sequence[str]) -> None:
        """Hear which step comes next, before its first batch.

        Args:
            step: steps taken so far.
            live: the tasks that take part.
        """

    @abstractmethod
    def forward(self, features: Mapping[str, Features]) -> Tensor:
        """The penalty, its weight included.

        Args:
            features: of the tasks that have rows in the batch; empty for a regulariser that does not read them.
        """


@dataclass(frozen=True, kw_only=True)
class Regulariser(ABC):
    """The recipe of a penalty.

    Args:
        weight: factor on the penalty; 0 switches it off.

    Attributes:
        reads: whether it wants representations; else it looks at parameters alone.
        compares: whether it does nothing in a batch with rows of one task.
    """

    weight: float

    reads: ClassVar[bool] = False
    compares: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require([*at_least(0, weight=self.weight), *self.faults()])

    @property
    def active(self) -> bool:
        """Whether it can move anything."""
        return self.weight > 0

    def faults(self) -> Iterable[Problem]:
        """What is wrong with the options, whatever the tasks."""
        return ()

    def problems(self, tasks: Mapping[str, bool]) -> Iterable[Problem]:
        """What does not fit the tasks.

        Args:
            tasks: by name, whether it gives every text one class.
        """
        return ()

    def misfits(self, parameters: Parameters) -> Iterable[Problem]:
        """What does not fit the model."""
        return ()

    @abstractmethod
    def build(self, parameters: Parameters) -> Penalty:
        """The penalty for a model that has learnt nothing yet."""
