"""Fast adaptive multitask optimisation: all losses fall at about the same rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.adam import Adam
from motet.balancing.losses.logarithms import logarithms
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, stacked
from motet.errors import at_least, positive, require
from motet.registry import register

__all__ = ["FAMO"]


@register("balance", "famo")
@dataclass(frozen=True, kw_only=True)
class FAMO(LossBalance):
    """A sum of ``k c z log(loss)``: z is a softmax of learned scores, and c makes the weights of k tasks sum to k.

    After each update the same batch is looked at again, and scores fall for tasks whose log-loss fell faster than
    the others'. The second look is one more pass forward. Negative losses stop the run; the lower bound of every
    loss is taken as 0.

    Source: Liu et al. 2023, "FAMO: Fast Adaptive Multitask Optimization".

    Args:
        learning_rate: of the scores, which Adam learns.
        decay: pulls the scores together.
        floor: added to every loss. Raise it where a loss near 0 takes most of the weight.

    Relations:
        With equal scores it goes the same way as `ScaleInvariant`.

    Example:
        >>> FAMO(decay=0.01)
        FAMO(learning_rate=0.025, decay=0.01, floor=1e-08)
    """

    learning_rate: float = 0.025
    decay: float = 1e-3
    floor: float = FLOOR

    def __post_init__(self) -> None:
        require([*positive(learning_rate=self.learning_rate, floor=self.floor), *at_least(0, decay=self.decay)])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _FAMO(tasks, self)


class _FAMO(LossBalancer):
    before: Tensor

    def __init__(self, tasks: Iterable[str], recipe: FAMO) -> None:
        super().__init__(tasks)
        self.floor = recipe.floor
        self.scores = Adam(len(self.tasks), rate=recipe.learning_rate, decay=recipe.decay)
        self.register_buffer("before", torch.zeros(len(self.tasks)))

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        logs = logarithms(losses, self.floor)
        z = torch.softmax(self.scores.values[self.rows(losses)], dim=0)
        c = 1 / (z / logs.detach().exp()).sum()
        return len(losses) * c * (z * logs).sum()

    def learn(self, losses: Mapping[str, Tensor]) -> None:
        self.before[self.rows(losses)] = (stacked(losses) + self.floor).log()

    @property
    def needs_second_look(self) -> bool:
        return True

    @torch.no_grad()
    def look_again(self, losses: Mapping[str, Tensor]) -> None:
        losses = {task: losses[task].float() for task in self.weights if task in losses}
        if not losses:
            return
        rows = self.rows(losses)
        fall = self.before[rows] - logarithms(losses, self.floor)
        z = torch.softmax(self.scores.values[rows], dim=0)
        self.scores.descend(rows, z * (fall - (z * fall).sum()))  # what softmax passes back from the fall
