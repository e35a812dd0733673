"""The sum of the logarithms of the task losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.logarithms import logarithms
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer
from motet.errors import positive, require
from motet.registry import register

__all__ = ["ScaleInvariant"]


@register("balance", "scale_invariant")
@dataclass(frozen=True, kw_only=True)
class ScaleInvariant(LossBalance):
    """The sum of the logarithms of the task losses: units do not matter.

    Each task weighs ``1 / loss``, so the relative changes of losses count. Weights are not normalised. Negative
    losses stop the run.

    Source: Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", where it is a baseline.

    Args:
        floor: added to every loss. Raise it where a loss near 0 takes most of the weight.

    Relations:
        `Uncertainty` and `IMTLL` arrive at these weights slowly, so single batches move them less.

    Example:
        >>> ScaleInvariant(floor=0.01)
        ScaleInvariant(floor=0.01)
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        require(positive(floor=self.floor))

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _ScaleInvariant(tasks, self.floor)


class _ScaleInvariant(LossBalancer):
    def __init__(self, tasks: Iterable[str], floor: float) -> None:
        super().__init__(tasks)
        self.floor = floor

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        return logarithms(losses, self.floor).sum()
