"""IMTL-G: an update that is equally far along every gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import RESOLUTION, divisors, equal_cosines, lengths
from motet.registry import register

__all__ = ["IMTLG"]

_FLOOR = 0.1


@register("balance", "imtl_g")
@dataclass(frozen=True, kw_only=True)
class IMTLG(GradientBalance):
    """An update whose projections on all unit gradients are equal.

    Its direction does not depend on the units of the losses. The weights sum to 1, as in the paper, so its length
    does: the shortest gradient sets it. Some weights may be negative. Should their sum be below a tenth of the sum of
    their absolute values, they are divided by that tenth instead, because the paper's update would grow without bound
    and then turn around. Where unit gradients sum to zero, no direction has equal projections, and a combination of
    them that is zero is taken. Both are counted as fallbacks. A zero gradient has weight 0.

    Source: Liu et al. 2021, "Towards Impartial Multi-task Learning", the part on gradients. Where gradients are
    dependent, projections are made as equal as can be, by least squares.

    Relations:
        `ConFIG` takes the same direction and a length like that of the sum. `NashMTL` weighs the unit gradients by
        how much they conflict.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> IMTLG().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([0.6667, 0.3333], dtype=torch.float64)
    """

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _IMTLG(tasks)


class _IMTLG(Weighting):
    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        parts = equal_cosines(gramian)
        stationary = parts.sum() < RESOLUTION
        parts = torch.where(stationary, (lengths(gramian) > 0).to(parts), parts)
        weights = parts / divisors(gramian)
        total, least = weights.sum(), _FLOOR * weights.abs().sum()
        self.fallbacks += stationary | (total < least)
        return weights / torch.maximum(total, least)
