"""Rules at work: from a Gramian to a weight for each gradient, or from the gradients to an update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from typing_extensions import Self

__all__ = ["Combining", "Rule", "SolverFailed", "Weighting"]


class SolverFailed(RuntimeError):  # noqa: N818  (what happened, not a fault)
    """A rule found no update; the message says why."""


class Rule(nn.Module, ABC):
    """A rule at work: asked with any subset of the tasks, the same on every process, saved with every checkpoint.

    All of its state is in buffers that hold a number, or a row of numbers, for each task, in the order of the
    alphabet, so that a task may be absent, join later and come back.

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

    def rows(self, names: Iterable[str]) -> Tensor:
        """Where the numbers of tasks are kept."""
        return torch.tensor([self.tasks.index(name) for name in names])


class Weighting(Rule):
    """A rule that sees the gradients through their dot products, and weighs each."""

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
        try:
            weights = self.weigh(gramian, names, losses)
        except (SolverFailed, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
            raise SolverFailed(f"{error} (The tasks were {', '.join(names)}.)") from error
        _check("weight", names, weights)
        return weights

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Rules work in double precision on the CPU, wherever the module that holds them is moved.
        return self


class Combining(Rule):
    """A rule that reads the gradients themselves, because dot products do not tell it enough.

    It works where the gradients are. Columns are the same in every step.
    """

    def attach(self, columns: int) -> None:
        """Hear how many numbers a gradient has, before anything is loaded: to make buffers of that width."""

    @abstractmethod
    def combine(self, rows: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        """What `forward` returns, where every gradient is finite."""

    @torch.no_grad()
    def forward(self, rows: Tensor, names: Sequence[str], losses: Tensor | None = None) -> Tensor:
        """The update.

        Args:
            rows: a gradient in each, ``[tasks, columns]``, float32; they may be changed in place.
            names: of the tasks of this step, in the order of the rows; at least one.
            losses: of these tasks, over all processes; some rules need them.

        Raises:
            SolverFailed: a gradient is not finite.
        """
        _check("gradient", names, torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64))
        return self.combine(rows, names, losses)


def _check(what: str, names: Sequence[str], values: Tensor) -> None:
    finite = values.isfinite().tolist()
    if not all(finite):
        bad = ", ".join(name for name, good in zip(names, finite, strict=True) if not good)
        raise SolverFailed(f"The {what} of {bad} is not finite.")
