"""Weights that make the losses of blind guesses equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from motet.balancing.base import Facts
from motet.balancing.losses.constant import ConstantWeights
from motet.balancing.losses.weighting import LossBalance, LossBalancer
from motet.registry import register

__all__ = ["LogClasses"]


@register("balance", "log_classes")
@dataclass(frozen=True, kw_only=True)
class LogClasses(LossBalance):
    """The sum of the task losses, each divided by the logarithm of the number of classes of its task.

    That is the cross-entropy of a blind guess, so every classification starts with a loss of about 1. Tasks that do
    not choose between classes are divided by 1. The weights are not normalised.

    Source: Aghajanyan et al. 2021, "Muppet: Massive Multi-task Representations with Pre-Finetuning".

    Example:
        >>> balancer = LogClasses().build({"length": Facts(), "mood": Facts(classes=2)})
        >>> balancer.constants
        tensor([1.0000, 1.4427])
    """

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return ConstantWeights({task: _weight(facts.classes) for task, facts in tasks.items()})


def _weight(classes: int) -> float:
    return 1 / math.log(classes) if classes > 1 else 1.0
