"""Weights from the learned noise of each task, with a second term that is never negative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from motet.balancing.base import Facts
from motet.balancing.losses.learned import LearnedScales, ScaleLearner
from motet.balancing.losses.weighting import LossBalancer
from motet.registry import register

__all__ = ["RevisedUncertainty"]


@register("balance", "revised_uncertainty")
@dataclass(frozen=True, kw_only=True)
class RevisedUncertainty(LearnedScales):
    """A sum of ``loss / (2 v) + log(1 + v)``, where v is the variance of a task's noise, learned as s = log(v).

    The sum stays above 0, whatever v becomes. On a constant loss L it settles at v = (L + sqrt(L^2 + 8 L)) / 4. The
    weights are not normalised: at first each is 1/2.

    Source: Liebel and Körner 2018, "Auxiliary Tasks in Multi-task Learning".

    Relations:
        `Uncertainty` is the rule that it revises.

    Example:
        >>> RevisedUncertainty()
        RevisedUncertainty(learning_rate=0.025, start=0.0, floor=0.0001)
    """

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _RevisedUncertainty(tasks, self)


class _RevisedUncertainty(ScaleLearner):
    def formula(self, losses: Tensor, scales: Tensor) -> Tensor:
        return (0.5 * losses * (-scales).exp() + softplus(scales)).sum()  # softplus(s) is log(1 + exp(s))
