"""Dynamic task prioritisation: what is still hard weighs more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import LossBalance, LossBalancer, WeightedSum
from motet.errors import Problem, at_least, require
from motet.registry import register

__all__ = ["DynamicTaskPrioritisation"]

_MARGIN = 1e-3


@register("balance", "dynamic_task_prioritisation")
@dataclass(frozen=True, kw_only=True)
class DynamicTaskPrioritisation(LossBalance):
    """Weights ``-(1 - q) ** gamma * log(q)``, where q is a moving mean of a task's validation score.

    The scores are headline scores, which have to lie between 0 and 1 and to grow as a task is learned; q is kept
    between 0.001 and 0.999. A task that has not been checked yet has the weight 1. The weights are not normalised.

    Source: Guo et al. 2018, "Dynamic Task Prioritization for Multitask Learning".

    Args:
        gamma: the higher, the less weight is left for what is easy.
        smoothing: how far each check moves the mean towards the newest score, from 0 to 1.

    Relations:
        `InverseScore` compares scores with what a task reaches alone. `DWA` goes by training losses.

    Example:
        >>> DynamicTaskPrioritisation(gamma=2)
        DynamicTaskPrioritisation(gamma=2, smoothing=0.5)
    """

    gamma: float = 1.0
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        require(at_least(0, gamma=self.gamma))
        if not 0 < self.smoothing <= 1:
            require([Problem("smoothing", "must lie above 0 and be at most 1", str(self.smoothing))])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        rule = "needs headline scores that grow, and {task} has one that falls. Give it another metric"
        falling = [task for task, facts in tasks.items() if not facts.higher_is_better]
        require(Problem("balance", rule.format(task=task), "dynamic_task_prioritisation") for task in falling)
        return _DynamicTaskPrioritisation(tasks, self)


class _DynamicTaskPrioritisation(WeightedSum):
    means: Tensor

    def __init__(self, tasks: Mapping[str, Facts], recipe: DynamicTaskPrioritisation) -> None:
        super().__init__(tasks)
        self.recipe = recipe
        self.register_buffer("means", torch.full((len(self.tasks),), math.nan))

    def observe(self, scores: Mapping[str, float]) -> None:
        for task, score in scores.items():
            if math.isfinite(score):
                row = self.tasks.index(task)
                moved = self.means[row] + self.recipe.smoothing * (score - self.means[row])
                self.means[row] = torch.where(moved.isnan(), score, moved)

    def weigh(self, rows: Tensor) -> Tensor:
        q = self.means[rows].clamp(_MARGIN, 1 - _MARGIN)
        return torch.where(q.isnan(), 1.0, -((1 - q) ** self.recipe.gamma) * q.log())
