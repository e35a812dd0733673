"""What every rule on gradients is: from a Gramian to a weight for each gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from typing_extensions import Self

from motet.balancing.base import Balance, Balancer, Facts
from motet.balancing.engine import GradientBalancer
from motet.balancing.losses.checks import at_least, require
from motet.errors import Problem, nearest

__all__ = ["GradientBalance", "SolverFailed", "Weighting", "Where", "one_of"]

Where = Literal["shared", "last_layer"]


class SolverFailed(RuntimeError):  # noqa: N818  (what happened, not a fault)
    """A rule found no weights; the message says why."""


class Weighting(nn.Module, ABC):
    """A rule at work: asked with any subset of the tasks, the same on every process, saved with every checkpoint.

    All of its state is in buffers that hold a number for each task, in the order of the alphabet, so that a task may
    be absent, join later and come back.

    Args:
        tasks: the names of all tasks of the experiment.

    Attributes:
        fallbacks: how often the rule had no solution and did instead what its docstring says.
    """

    fallbacks: Tensor
    __call__: Callable[..., Tensor]

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__()
        self.tasks = tuple(sorted(tasks))
        self.register_buffer("fallbacks", torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        """What `forward` returns, where everything is finite, some gradient is not zero, and losses are float64."""

    @torch.no_grad()
    def forward(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None = None) -> Tensor:
        """The weight of each gradient: the update is their weighted sum.

        Args:
            gramian: dot products of the gradients, float64 on the CPU.
            names: of the tasks of this step, in the order of the Gramian; at least one.
            losses: of these tasks, over all processes; some rules need them.

        Raises:
            SolverFailed: a gradient or a loss is not finite, or a solver did not converge.
        """
        _check("gradient", names, gramian.diagonal())
        _check("dot product", names, gramian.sum(dim=0))
        if losses is not None:
            _check("loss", names, losses)
            losses = losses.double().cpu()
        if not gramian.any():
            return torch.ones_like(gramian.diagonal())  # nothing moves, whatever the weights
        weights = self.weigh(gramian, names, losses)
        _check("weight", names, weights)
        return weights

    def rows(self, names: Iterable[str]) -> Tensor:
        """Where the numbers of tasks are kept."""
        return torch.tensor([self.tasks.index(name) for name in names])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Rules work in double precision on the CPU, wherever the module that holds them is moved.
        return self


@dataclass(frozen=True, kw_only=True)
class GradientBalance(Balance):
    """The recipe of a balance that weighs gradients.

    Args:
        where: the gradients that are compared: of all `shared` parameters, or of the `last_layer` of the trunk alone,
            which costs little more than one backward pass, but then weighs the heads too.
        every: weights are found anew every so many steps and kept in between, where a step costs one backward pass.
    """

    where: Where = "shared"
    every: int = 1

    def __post_init__(self) -> None:
        require([*one_of(Where, where=self.where), *at_least(1, every=self.every), *self.faults()])

    def faults(self) -> Iterable[Problem]:
        """What is wrong with the options of the rule, whatever the tasks."""
        return ()

    @abstractmethod
    def weighting(self, tasks: Sequence[str]) -> Weighting:
        """The rule at work for these tasks: all of the experiment, also those that join later."""

    def build(self, tasks: Mapping[str, Facts]) -> Balancer:
        require(self.problems(list(tasks)))
        return GradientBalancer(self.weighting(list(tasks)), self.where, self.every)


def _check(what: str, names: Sequence[str], values: Tensor) -> None:
    finite = values.isfinite().tolist()
    if not all(finite):
        bad = ", ".join(name for name, good in zip(names, finite, strict=True) if not good)
        raise SolverFailed(f"The {what} of {bad} is not finite.")


def one_of(words: Any, **options: str) -> Iterator[Problem]:
    """Options that are none of the words of a `Literal`."""
    for name, value in options.items():
        if value not in get_args(words):
            yield Problem(name, f"is not known. {nearest(value, get_args(words))}", value)
