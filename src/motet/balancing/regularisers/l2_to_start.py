"""L2-SP: shared parameters are drawn back to where they started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.regularisers.base import Features, Parameters, Penalty, Regulariser
from motet.balancing.regularisers.snapshot import Snapshot
from motet.errors import Problem, at_least
from motet.registry import register

__all__ = ["L2ToStart"]


@register("regulariser", "l2_to_start")
@dataclass(frozen=True, kw_only=True)
class L2ToStart(Regulariser):
    """Shared parameters are drawn to their pretrained values: ``weight / 2 * ||theta - start||**2``.

    What every task has of its own was not pretrained and may be drawn to zero: ``own / 2 * ||phi||**2``. The copy of
    the start takes the room of the shared parameters once more, in memory and in every checkpoint.

    Source: Li, Grandvalet and Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks", there called L2-SP.

    Args:
        own: factor on the squared length of the parameters of single tasks.

    Relations:
        `Successive` moves its reference along; `training.weight_decay` draws everything to zero.

    Example:
        >>> L2ToStart(weight=0.1)
        L2ToStart(weight=0.1, own=0.0)
    """

    weight: float = 0.01
    own: float = 0.0

    @property
    def active(self) -> bool:
        return self.weight > 0 or self.own > 0

    def faults(self) -> Iterable[Problem]:
        return at_least(0, own=self.own)

    def build(self, parameters: Parameters) -> Penalty:
        return _L2ToStart(self, parameters)


class _L2ToStart(Penalty):
    def __init__(self, recipe: L2ToStart, parameters: Parameters) -> None:
        super().__init__()
        self.recipe = recipe
        self.start = Snapshot(parameters.shared if recipe.weight else ())
        self._own = [p for of in parameters.own.values() for p in of] if recipe.own else []

    def forward(self, features: Mapping[str, Features]) -> Tensor:
        lengths = sum((p.square().sum() for p in self._own), start=torch.zeros(()))
        return self.recipe.weight / 2 * self.start.distance() + self.recipe.own / 2 * lengths
