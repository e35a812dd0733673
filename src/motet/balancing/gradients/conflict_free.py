"""ConFIG: the direction with equal cosines, at the length of the sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import RESOLUTION, divisors, equal_cosines, lengths
from motet.registry import register

__all__ = ["ConFIG"]


@register("balance", "config")
@dataclass(frozen=True, kw_only=True)
class ConFIG(GradientBalance):
    """An update in the direction whose cosines with all gradients are equal.

    It is as long as the projections of all gradients on that direction together, so it is on the scale of their sum
    and shorter the more they conflict. Independent gradients all have a positive dot product with it. Where unit
    gradients sum to zero, no direction has equal cosines; that sum, at the mean length, is taken and counted as a
    fallback. A zero gradient has weight 0.

    Source: Liu et al. 2025, "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks"; the form
    without momentum.

    Relations:
        `IMTLG` takes the same direction and another length.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> ConFIG().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([1.5000, 0.7500], dtype=torch.float64)
    """

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _ConFIG(tasks)


class _ConFIG(Weighting):
    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        long = lengths(gramian)
        parts = equal_cosines(gramian)
        if parts.sum() < RESOLUTION:
            self.fallbacks += 1
            return torch.where(long > 0, long[long > 0].mean() / divisors(gramian), 0.0)
        direction = parts / divisors(gramian)
        along = gramian @ direction
        return direction * along.sum() / (direction @ along)
