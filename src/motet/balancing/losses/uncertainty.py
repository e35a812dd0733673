"""Weights from the learned noise of each task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.learned import LearnedScales, ScaleLearner
from motet.balancing.losses.weighting import LossBalancer
from motet.registry import register

__all__ = ["Uncertainty"]


@register("balance", "uncertainty")
@dataclass(frozen=True, kw_only=True)
class Uncertainty(LearnedScales):
    """A sum of ``loss / (2 v) + log(v) / 2``, where v is the variance of a task's noise, learned as s = log(v).

    On a constant loss L it settles at v = L: a task weighs as much as its loss is small. The paper has
    ``loss / v`` for classification; as in most implementations, every loss is halved here. The weights are not
    normalised: at first each is 1/2.

    Source: Kendall, Gal and Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry
    and Semantics".

    Relations:
        `RevisedUncertainty` has another second term. `IMTLL` is twice this rule, with s negated. `ScaleInvariant`
        is where all of them would arrive if the scales were learned at once.

    Example:
        >>> Uncertainty(learning_rate=0.01)
        Uncertainty(learning_rate=0.01, start=0.0, floor=0.0001)
    """

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _Uncertainty(tasks, self)


class _Uncertainty(ScaleLearner):
    def formula(self, losses: Tensor, scales: Tensor) -> Tensor:
        return 0.5 * (losses * (-scales).exp() + scales).sum()
