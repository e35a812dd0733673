"""Nash-MTL: the update on which the tasks would agree in a bargain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, SolverFailed, Weighting
from motet.balancing.gradients.geometry import RESOLUTION, cosines, divisors, lengths
from motet.errors import Problem, positive
from motet.registry import register

__all__ = ["NashMTL"]

_STEPS = 200
_HIGHEST = RESOLUTION**-0.5  # weights of unit gradients above it have a sum in which only rounding is left


@register("balance", "nash")
@dataclass(frozen=True, kw_only=True)
class NashMTL(GradientBalance):
    """The Nash bargaining solution: the update for which the product of all tasks' gains is largest.

    The weight of a task is one over the dot product of its gradient with the update, so the update opposes no task
    and does not depend on the units of the losses. Its length would always be the root of the number of tasks, which
    `max_norm` cuts. The equations are solved exactly.

    Where the gradients are Pareto stationary there is no solution: the tasks keep the weights of their last one, and
    without such weights the mean of the unit gradients is taken. Both are counted as fallbacks. A task whose gradient
    is zero does not bargain and has weight 0. A task that is alone has weight 1.

    Source: Navon et al. 2022, "Multi-Task Learning as a Bargaining Game".

    Args:
        max_norm: the greatest length of the update; null does not cut it.

    Relations:
        `IMTLG` and `ConFIG` take equal projections instead. `TorchJD` with FairGrad and alpha 1 poses the same
        equations to a general solver.

    Example:
        >>> gramian = torch.tensor([[4.0, -3.0], [-3.0, 25.0]], dtype=torch.float64)
        >>> NashMTL(max_norm=None).weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([0.5976, 0.2390], dtype=torch.float64)
    """

    max_norm: float | None = 1.0

    def faults(self) -> Iterable[Problem]:
        if self.max_norm is not None:
            yield from positive(max_norm=self.max_norm)

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _NashMTL(tasks, self.max_norm)


class _NashMTL(Weighting):
    agreed: Tensor

    def __init__(self, tasks: Sequence[str], max_norm: float | None) -> None:
        super().__init__(tasks)
        self.max_norm = max_norm
        self.register_buffer("agreed", torch.zeros(len(self.tasks), dtype=torch.float64))  # 0: never

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        if len(names) == 1:
            return torch.ones_like(gramian.diagonal())
        rows, moving = self.rows(names), lengths(gramian) > 0
        parts = bargain(cosines(gramian))
        if parts is None:
            self.fallbacks += 1
            last = self.agreed[rows]
            mean = 1 / divisors(gramian) / moving.sum()
            weights = torch.where(moving, last if last[moving].all() else mean, 0.0)
        else:
            weights = torch.where(moving, parts / divisors(gramian), 0.0)
            self.agreed[rows[moving]] = weights[moving]
        return weights * self._cut(weights, gramian)

    def _cut(self, weights: Tensor, gramian: Tensor) -> Tensor:
        norm = (weights @ gramian @ weights).clamp(min=0).sqrt()
        return norm.new_ones(()) if self.max_norm is None else (self.max_norm / norm).clamp(max=1)


def bargain(angles: Tensor) -> Tensor | None:
    """The positive z with ``angles @ z == 1 / z``, by Newton's method; None if there is none.

    It is where ``z @ angles @ z / 2 - z.log().sum()`` is smallest. That is convex and self-concordant, so steps of
    the length below never leave the positive numbers and always lead there.

    Raises:
        SolverFailed: no convergence.
    """
    parts = angles.sum(dim=0).mean().clamp(min=1).rsqrt().expand(len(angles))
    for _ in range(_STEPS):
        slope = angles @ parts - 1 / parts
        root, indefinite = torch.linalg.cholesky_ex(angles + torch.diag(parts**-2))
        if indefinite or parts.max() > _HIGHEST:
            return None
        step = -torch.cholesky_solve(slope[:, None], root)[:, 0]
        decrement = -(slope @ step)
        near = (parts * slope).abs().max() < 1e-6  # one more step squares it
        parts = parts + step / (1.0 if decrement < 1 / 16 else 1 + decrement.sqrt())
        if near:
            return parts
    raise SolverFailed(f"Nash-MTL: {_STEPS} Newton steps on {len(angles)} gradients did not converge.")
