"""Impartial weights: every task's weighted loss becomes 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.learned import LearnedScales, ScaleLearner
from motet.balancing.losses.weighting import LossBalancer
from motet.registry import register

__all__ = ["IMTLL"]


@register("balance", "imtl_l")
@dataclass(frozen=True, kw_only=True)
class IMTLL(LearnedScales):
    """A sum of ``exp(s) loss - s``, with s learned: the part of IMTL that balances losses.

    On a constant loss L it settles at exp(s) = 1 / L. The weights are not normalised: at first each is 1.

    Source: Liu et al. 2021, "Towards Impartial Multi-Task Learning".

    Relations:
        Twice `Uncertainty`, with s negated.

    Example:
        >>> IMTLL()
        IMTLL(learning_rate=0.025, start=0.0, floor=0.0001)
    """

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _IMTLL(tasks, self)


class _IMTLL(ScaleLearner):
    def formula(self, losses: Tensor, scales: Tensor) -> Tensor:
        return (losses * scales.exp() - scales).sum()
