"""UPGrad: no gradient, once projected, opposes any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import cosines, divisors, lengths, square_root
from motet.balancing.gradients.solvers import multipliers
from motet.registry import register

__all__ = ["UPGrad"]


@register("balance", "upgrad")
@dataclass(frozen=True, kw_only=True)
class UPGrad(GradientBalance):
    """The mean of the task gradients, each moved to the nearest vector that opposes no task.

    So the mean opposes none, and a task with a small gradient has a small say. The update is on the scale of the
    *mean* gradient, and is that mean where no gradients oppose. A zero gradient has weight 0.

    Source: Quinton, Rey 2024, "Jacobian Descent for Multi-Objective Optimization".

    Relations:
        `PCGrad` projects on one gradient after the other. `TorchJD` with DualProj projects the mean itself.

    Example:
        >>> gramian = torch.tensor([[1.0, -1.0], [-1.0, 2.0]], dtype=torch.float64)
        >>> UPGrad().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([1.0000, 0.7500], dtype=torch.float64)
    """

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _UPGrad(tasks)


class _UPGrad(Weighting):
    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        units = square_root(cosines(gramian))
        added = torch.stack([multipliers(units, unit) for unit in units.unbind(dim=1)])
        parts = torch.eye(len(names), dtype=gramian.dtype) + added  # row i: what projected unit gradient i is made of
        return (lengths(gramian)[:, None] * parts / divisors(gramian)).mean(dim=0)
