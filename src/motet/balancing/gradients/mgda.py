"""MGDA: the shortest of all averages of the gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import lengths, square_root
from motet.balancing.gradients.solvers import shortest
from motet.balancing.losses.weighting import FLOOR
from motet.errors import Problem, one_of
from motet.registry import register

__all__ = ["MGDA"]

Normalise = Literal["none", "l2", "loss"]


@register("balance", "mgda")
@dataclass(frozen=True, kw_only=True)
class MGDA(GradientBalance):
    """The shortest convex combination of the task gradients, found exactly.

    It opposes no task and is zero where the gradients are Pareto stationary. It is never longer than the shortest
    gradient, so a task that has almost converged holds back all others: leave such tasks to their teachers, or
    normalise. With a normalisation the update is the shortest combination of the normalised gradients, and on their
    scale. (The official implementation then applies the weights to the gradients as they are, which may oppose a
    task.) A task whose gradient is zero takes no part, and one that is alone has weight 1. With ``where:
    representation`` this is MGDA-UB of the second paper.

    Source: Désidéri 2012, "Multiple-gradient descent algorithm (MGDA) for multiobjective optimization"; Sener, Koltun
    2018, "Multi-Task Learning as Multi-Objective Optimization".

    Args:
        normalise: divide each gradient by its length (`l2`) or by its loss (`loss`) first.

    Relations:
        Normalised by `l2` it has the direction of `IMTLG` and `ConFIG`, wherever their weights are all positive.
        `CAGrad` stays near the mean gradient.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> MGDA().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([0.8000, 0.2000], dtype=torch.float64)
    """

    normalise: Normalise = "none"

    def faults(self) -> Iterable[Problem]:
        return one_of(Normalise, normalise=self.normalise)

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _MGDA(tasks, self.normalise)


class _MGDA(Weighting):
    def __init__(self, tasks: Sequence[str], normalise: Normalise) -> None:
        super().__init__(tasks)
        self.normalise = normalise

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        if len(names) == 1:
            return torch.ones_like(gramian.diagonal())
        moving = lengths(gramian) > 0
        units = self._units(gramian, losses)[moving]
        weights = torch.zeros_like(gramian.diagonal())
        weights[moving] = shortest(square_root(gramian)[:, moving] / units) / units
        return weights

    def _units(self, gramian: Tensor, losses: Tensor | None) -> Tensor:
        if self.normalise == "loss":
            if losses is None:
                raise ValueError("MGDA needs the losses of the tasks to normalise by them")
            return losses.clamp(min=FLOOR)
        return lengths(gramian) if self.normalise == "l2" else torch.ones_like(gramian.diagonal())
