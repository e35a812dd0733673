"""CAGrad: near the mean gradient, the update of which the worst-off task gains most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import brentq
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import RESOLUTION, square_root
from motet.balancing.gradients.solvers import multipliers, shortest
from motet.errors import Problem, at_least
from motet.registry import register

__all__ = ["CAGrad"]


@register("balance", "cagrad")
@dataclass(frozen=True, kw_only=True)
class CAGrad(GradientBalance):
    """Of all updates within a ball around the mean gradient, the one of which the worst-off task gains most.

    The radius of the ball is `c` times the length of the mean gradient. The update is on the scale of the *mean* and
    divided by 1 + c², as in the official implementation. From `c` 1 on it opposes no task. Where the gradients are
    Pareto stationary, or one is zero, no update helps all: it is then the one nearest to the mean gradient that
    opposes none, so far as the ball goes. A task that is alone has weight 1.

    Source: Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning".

    Args:
        c: radius of the ball; 0 is the mean gradient.

    Relations:
        A ball without bounds leads to `MGDA`'s direction. `UPGrad` opposes no task either and has no radius.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> CAGrad(c=0.5).weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([0.8472, 0.4000], dtype=torch.float64)
    """

    c: float = 0.5

    def faults(self) -> Iterable[Problem]:
        return at_least(0, c=self.c)

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _CAGrad(tasks, self.c)


class _CAGrad(Weighting):
    def __init__(self, tasks: Sequence[str], c: float) -> None:
        super().__init__(tasks)
        self.c = c

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        if len(names) == 1:
            return torch.ones_like(gramian.diagonal())
        columns = square_root(gramian / gramian.diagonal().max())
        return (1 / len(names) + _added(columns, self.c)) / (1 + self.c**2)


def _added(columns: Tensor, c: float) -> Tensor:
    """How much of each gradient is added to the mean; the longest has length 1."""
    mean = columns.mean(dim=1)
    radius = c * float(mean.norm())
    if radius < RESOLUTION:
        return torch.zeros_like(mean)
    hull = shortest(columns)
    floor = float((columns @ hull).norm())
    if floor > RESOLUTION and floor**2 > RESOLUTION * float(hull @ columns.norm(dim=0)) ** 2:
        return _on_the_sphere(columns, mean, radius, floor / radius)
    nearest = multipliers(columns, mean)
    if (columns @ nearest).norm() <= radius:
        return nearest
    return _on_the_sphere(columns, mean, radius, 1 / float(nearest.sum()))


def _on_the_sphere(columns: Tensor, mean: Tensor, radius: float, low: float) -> Tensor:
    """The optimum, where it is on the surface of the ball.

    By duality what is added is ``w / t`` with ``w`` on the simplex and ``mean + columns @ w / t`` the shortest vector
    of its kind for this ``t``. The larger ``t``, the less is added; at the optimum it is as long as the radius.
    """

    def added(log_t: float) -> Tensor:
        t = math.exp(log_t)
        return shortest(columns + t * mean[:, None]) / t

    def excess(log_t: float) -> float:
        return float((columns @ added(log_t)).norm()) / radius - 1

    ends = math.log(low), math.log(1 / radius)
    for end, sign in zip(ends, (1, -1), strict=True):
        if sign * excess(end) <= 0:  # the optimum is an end, and rounding has put it outside
            return added(end)
    return added(brentq(excess, *ends, xtol=1e-12, rtol=1e-12))
