"""DB-MTL: gradients of the logarithms of losses, smoothed over steps and made equally long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance
from motet.balancing.gradients.rules import Combining, SolverFailed
from motet.balancing.losses.weighting import FLOOR
from motet.errors import Problem, at_least, below_one, positive
from motet.registry import register

__all__ = ["DBMTL"]


@register("balance", "db_mtl")
@dataclass(frozen=True, kw_only=True)
class DBMTL(GradientBalance):
    """The sum of smoothed gradients of log-losses, each as long as the longest of them.

    The gradient of a task is divided by its loss, which makes it that of the logarithm, and its running mean is taken
    over the steps in which the task was there. The means are made as long as the longest one. The unit of a loss does
    not matter, nor do the sizes of gradients beyond that. Heads learn from the plain losses.

    A task that has nearly converged is turned up to the length of the others, noise and all, and the less is left of
    its loss the longer is its gradient: leave such tasks to their teachers. Negative losses stop the run.

    The means start at zero, are kept on the device, and are saved with every checkpoint: 4 bytes for every shared
    parameter and task, besides the same again for the gradients of a step.

    Source: Lin et al. 2023, "Dual-Balancing for Multi-Task Learning".

    Args:
        beta: how much of the running mean stays in every step; 0 smooths nothing.
        sigma: smooths less with time; in its n-th step, ``beta / n ** sigma`` of the mean of a task stays.
        floor: added to every loss.

    Relations:
        Without smoothing it has the direction of the mean of unit gradients. `ScaleInvariant` is its first half, the
        sum of log-losses.

    Example:
        >>> rule = DBMTL(beta=0.0).weighting(["a", "b"])
        >>> rule.attach(columns=2)
        >>> rule(torch.tensor([[3.0, 0.0], [0.0, 0.5]]), ["a", "b"], torch.tensor([1.0, 0.25]))
        tensor([3., 3.])
    """

    combines: ClassVar[bool] = True

    beta: float = 0.9
    sigma: float = 0.0
    floor: float = FLOOR

    def faults(self) -> Iterable[Problem]:
        yield from below_one(beta=self.beta)
        yield from at_least(0, sigma=self.sigma)
        yield from positive(floor=self.floor)
        if self.where == "representation":
            rule = "must be `shared`: the states of other rows have other gradients, of which there is no running mean"
            yield Problem("where", rule, self.where)

    def weighting(self, tasks: Sequence[str]) -> Combining:
        return _DBMTL(tasks, self)


class _DBMTL(Combining):
    means: Tensor
    steps: Tensor

    def __init__(self, tasks: Sequence[str], part: DBMTL) -> None:
        super().__init__(tasks)
        self.part = part
        self.register_buffer("means", torch.zeros(len(self.tasks), 0))
        self.register_buffer("steps", torch.zeros(len(self.tasks), dtype=torch.int64))

    def attach(self, columns: int) -> None:
        self.means = self.means.new_zeros(len(self.tasks), columns)

    def combine(self, rows: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        if losses is None:
            raise ValueError("DB-MTL needs the losses of the tasks")
        _require_logarithms(names, losses)
        places = self.rows(names).tolist()
        means = [self._follow(place, row, loss) for place, row, loss in zip(places, rows, losses, strict=True)]
        long = torch.stack([torch.linalg.vector_norm(mean, dtype=torch.float64) for mean in means])
        divisors = torch.where(long > torch.finfo(rows.dtype).tiny, long, torch.inf)  # less has no direction
        update = torch.zeros_like(means[0])
        for mean, divisor in zip(means, divisors, strict=True):
            update += mean / divisor * long.max()  # the quotient of the two lengths may be too large a number
        return update

    def _follow(self, place: int, row: Tensor, loss: Tensor) -> Tensor:
        """The running mean of one task, with the gradient of this step in it."""
        self.steps[place] += 1
        stays = self.part.beta / self.steps[place].double() ** self.part.sigma
        row /= loss.to(row.device) + self.part.floor
        mean: Tensor = self.means[place].lerp_(row, (1 - stays).to(row))
        return mean


def _require_logarithms(names: Sequence[str], losses: Tensor) -> None:
    fine = ((losses >= 0) & losses.isfinite()).tolist()
    bad = ", ".join(name for name, good in zip(names, fine, strict=True) if not good)
    if bad:
        raise SolverFailed(f"DB-MTL takes logarithms, and the loss of {bad} is negative or not finite.")
