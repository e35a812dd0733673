"""The geometric mean of the task losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.logarithms import logarithms
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer
from motet.errors import positive, require
from motet.registry import register

__all__ = ["GeometricMean"]


@register("balance", "geometric")
@dataclass(frozen=True, kw_only=True)
class GeometricMean(LossBalance):
    """The geometric mean of the task losses, computed from their logarithms.

    Each task weighs ``mean / (k loss)``: equal losses have the weight 1 / k, and a small loss weighs more. Weights
    are not normalised. Negative losses stop the run.

    Source: Chennupati et al. 2019, "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for
    Multi-Task Learning".

    Args:
        floor: added to every loss. Raise it where a loss near 0 takes most of the weight.

    Relations:
        `ScaleInvariant` goes the same way with steps of another length: its formula is k times the logarithm.

    Example:
        >>> GeometricMean()
        GeometricMean(floor=1e-08)
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        require(positive(floor=self.floor))

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _GeometricMean(tasks, self.floor)


class _GeometricMean(LossBalancer):
    def __init__(self, tasks: Iterable[str], floor: float) -> None:
        super().__init__(tasks)
        self.floor = floor

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        return logarithms(losses, self.floor).mean().exp()
