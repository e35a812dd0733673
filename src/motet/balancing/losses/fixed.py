"""Weights given by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from motet.balancing.base import Facts
from motet.balancing.losses.checks import no_strangers
from motet.balancing.losses.constant import ConstantWeights
from motet.balancing.losses.weighting import LossBalance, LossBalancer
from motet.errors import Problem, at_least, require
from motet.registry import register

__all__ = ["FixedWeights"]


@register("balance", "fixed")
@dataclass(frozen=True, kw_only=True)
class FixedWeights(LossBalance):
    """The sum of the task losses, each times a weight given by hand.

    Weights that were searched for are the strong baseline: every other rule should be compared with them.

    Source: Xin et al. 2022, "Do Current Multi-Task Optimization Methods in Deep Learning Even Help?".

    Args:
        weights: by task; 1 for those that are not named, 0 for a task that is only watched.

    Relations:
        `Sum` with the `weight` of each task is the same; here they are together, and can be searched.

    Example:
        >>> FixedWeights(weights={"mood": 0.5})
        FixedWeights(weights={'mood': 0.5})
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(at_least(0, **{f"weights.{task}": weight for task, weight in self.weights.items()}))

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        require(self.problems(list(tasks)))
        return ConstantWeights({task: self.weights.get(task, 1.0) for task in tasks})

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from no_strangers("weights", self.weights, tasks)
        if not any(self.weights.get(task, 1) for task in tasks):
            yield Problem("balance.weights", "are 0 for every task, so nothing would be learned")
