"""Weights that grow as the reference task is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, WeightedSum, stacked
from motet.errors import Problem, nearest, require
from motet.registry import register

__all__ = ["LossRatio"]


@register("balance", "loss_ratio")
@dataclass(frozen=True, kw_only=True)
class LossRatio(LossBalance):
    """Weights that are multiplied, after every step, by the loss of their task over that of the reference.

    The reference has weight 1. While its loss is the larger one the others shrink; as it is learned they grow: first
    the easy or low-level task, then the rest. A step without the reference changes nothing. The weights are not
    normalised.

    Source: Song et al. 2020, "Hierarchical Multi-task Learning for Organization Evaluation of Argumentative Student
    Essays", whose reference is the low-level task.

    Args:
        reference: the name of a task.
        start: the weight of all others at first.
        lowest: no weight falls below it.
        highest: no weight grows above it.

    Relations:
        `SigmoidWeights` ramps by the clock instead.

    Example:
        >>> LossRatio(reference="entities").start
        0.1
    """

    reference: str
    start: float = 0.1
    lowest: float = 0.01
    highest: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.lowest <= self.start <= self.highest < float("inf"):
            rule = f"must lie between lowest and highest, which are positive: {self.lowest} and {self.highest}"
            require([Problem("start", rule, str(self.start))])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        require(self.problems(list(tasks)))
        return _LossRatio(tasks, self)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        if self.reference not in tasks:
            yield Problem("balance.reference", f"names no task. {nearest(self.reference, tasks)}", self.reference)


class _LossRatio(WeightedSum):
    factors: Tensor

    def __init__(self, tasks: Iterable[str], recipe: LossRatio) -> None:
        super().__init__(tasks)
        self.recipe = recipe
        factors = [1.0 if task == recipe.reference else recipe.start for task in self.tasks]
        self.register_buffer("factors", torch.tensor(factors))

    def weigh(self, rows: Tensor) -> Tensor:
        return self.factors[rows]

    def learn(self, losses: Mapping[str, Tensor]) -> None:
        others = {task: loss for task, loss in losses.items() if task != self.recipe.reference}
        if others and len(others) < len(losses):
            rows = self.rows(others)
            ratios = stacked(others) / losses[self.recipe.reference].clamp(min=FLOOR)
            self.factors[rows] = (self.factors[rows] * ratios).clamp(self.recipe.lowest, self.recipe.highest)
