"""Tasks that score poorly, for what they can, weigh more."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.checks import no_strangers
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, WeightedSum
from motet.errors import Problem, at_least, positive, require
from motet.registry import register

__all__ = ["InverseScore"]


@register("balance", "inverse_score")
@dataclass(frozen=True, kw_only=True)
class InverseScore(LossBalance):
    """Weights in proportion to ``1 / (min(1, score / baseline) ** power + smoothing)``, from validation scores.

    The paper calls this its adaptive schedule, and uses it to draw examples and, in its implicit form, to scale
    gradients; here it scales losses. For scores that fall as a task is learned the fraction is turned over. A task
    that has not been checked yet counts as being at its baseline. The weights of the k tasks of a step sum to k.

    Source: Jean, Firat and Johnson 2019, "Adaptive Scheduling for Multi-Task Learning".

    Args:
        baselines: by task, the score to be reached, such as that of a model of its own; 1 for those that are not
            named. Has to be given for scores that fall.
        power: the higher, the more the poor are favoured; 0 is `Sum`.
        smoothing: keeps weights finite; no weight is more than about 1 / smoothing times another.

    Relations:
        `DynamicTaskPrioritisation` compares scores with 1.

    Example:
        >>> InverseScore(baselines={"mood": 0.8})
        InverseScore(baselines={'mood': 0.8}, power=1.0, smoothing=0.1)
    """

    baselines: Mapping[str, float] = field(default_factory=dict)
    power: float = 1.0
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        baselines = positive(**{f"baselines.{task}": baseline for task, baseline in self.baselines.items()})
        require([*baselines, *at_least(0, power=self.power), *positive(smoothing=self.smoothing)])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        require(self.problems(list(tasks)))
        rule = "is missing: scores of this task fall, so there is no natural baseline"
        without = [task for task, facts in tasks.items() if not facts.higher_is_better and task not in self.baselines]
        require(Problem(f"balance.baselines.{task}", rule) for task in without)
        return _InverseScore(tasks, self)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from no_strangers("baselines", self.baselines, tasks)


class _InverseScore(WeightedSum):
    reached: Tensor

    def __init__(self, tasks: Mapping[str, Facts], recipe: InverseScore) -> None:
        super().__init__(tasks)
        self.recipe = recipe
        self.falling = [task for task, facts in tasks.items() if not facts.higher_is_better]
        self.register_buffer("reached", torch.ones(len(self.tasks)))

    def observe(self, scores: Mapping[str, float]) -> None:
        for task, score in scores.items():
            baseline = self.recipe.baselines.get(task, 1.0)
            part = baseline / max(score, FLOOR) if task in self.falling else score / baseline
            if math.isfinite(score):
                self.reached[self.tasks.index(task)] = min(1.0, max(0.0, part))

    def weigh(self, rows: Tensor) -> Tensor:
        raw = 1 / (self.reached[rows] ** self.recipe.power + self.recipe.smoothing)
        return len(rows) * raw / raw.sum()
