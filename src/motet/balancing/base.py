"""What every balance is: how the losses of a step become one update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

__all__ = ["Balance", "Balancer"]


class Balancer(nn.Module, ABC):
    """A balance at work: keyed by task name, asked with any subset of the tasks, saved with every checkpoint.

    Learned weights are its parameters and are trained with the model; other state belongs into buffers.
    """

    @abstractmethod
    def backward(self, losses: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        """Leave the gradients of one update in the parameters.

        Args:
            losses: weighted losses of the tasks that learn, each a scalar.
            held: those of the tasks that are held by distillation; they are added at a fixed weight.
        """


class Balance(ABC):
    """The recipe of a balancer."""

    @abstractmethod
    def build(self, tasks: Sequence[str]) -> Balancer:
        """A balancer for these tasks."""
