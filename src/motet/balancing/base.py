"""What every balance is: how the losses of a step become one update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from motet.errors import Problem

__all__ = ["Balance", "Balancer", "Facts"]


@dataclass(frozen=True)
class Facts:
    """What a balance may know about a task before the first step.

    Args:
        examples: how many it has to learn from.
        classes: how many it chooses between; 0 where it chooses between none.
        higher_is_better: whether the score that it is judged by grows as the task is learned.
    """

    examples: int = 1
    classes: int = 0
    higher_is_better: bool = True


class Balancer(nn.Module, ABC):
    """A balance at work: keyed by task name, asked with any subset of the tasks, saved with every checkpoint.

    All of its state is in buffers: it learns by itself, not through the optimiser of the model.

    Attributes:
        weights: of the tasks that learned in the last step; empty where the balance keeps none. (Held tasks have 1.)
        total: adds a tensor up over all processes.
        processes: how many there are.
        precision: of matrix products, `fp32` or `bf16`.
        conflict: lengths and cosines of the task gradients of the last step, where they are recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: dict[str, Tensor] = {}
        self.conflict: dict[str, object] = {}
        self.precision = "fp32"
        self.total: Callable[[Tensor], Tensor] = _itself
        self.processes = 1

    @abstractmethod
    def backward(self, losses: MutableMapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        """Leave the gradients of one update in the parameters.

        Args:
            losses: this process's part of the losses of the tasks that learn, each a scalar; it may be emptied on the
                way, so that what is done with needs no memory.
            held: what is added as it is: losses of the tasks that are held by distillation, and penalties.
        """

    def attach(self, trunk: nn.Module, shared: Sequence[nn.Parameter], last: Sequence[nn.Parameter]) -> None:
        """Hear what tasks share.

        Args:
            trunk: gives the states that heads read, as the attribute `last` of what it returns.
            shared: the parameters that serve more than one task.
            last: those of the last layer of the trunk.
        """

    @property
    def summed(self) -> Sequence[nn.Parameter]:
        """The parameters whose gradients the next `finish` leaves equal in all processes."""
        return ()

    @property
    def fallbacks(self) -> int:
        """How often the rule had no solution and did instead what its docstring says."""
        return 0

    def finish(self) -> None:
        """Hear that all batches of a step have had their `backward`."""

    def begin(self, step: int, steps: int) -> None:
        """Hear which step comes next.

        Args:
            step: steps taken so far.
            steps: all that there are to be.
        """

    def observe(self, scores: Mapping[str, float]) -> None:
        """Hear the headline validation scores of tasks, after each check."""

    @property
    def needs_second_look(self) -> bool:
        """Whether `look_again` wants the losses of the same batch after the update."""
        return False

    def look_again(self, losses: Mapping[str, Tensor]) -> None:
        """Hear what the update did.

        Args:
            losses: of the batch of the last `backward`, computed again; added up over all processes.
        """


class Balance(ABC):
    """The recipe of a balancer."""

    @property
    def apart(self) -> bool:
        """Whether rows that different tasks label are to lie in chunks of their own."""
        return False

    @abstractmethod
    def build(self, tasks: Mapping[str, Facts]) -> Balancer:
        """A balancer for these tasks: all of the experiment, also those that join later."""

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        """What is wrong with the options, given the names of the tasks."""
        return ()


def _itself(tensor: Tensor) -> Tensor:
    return tensor
