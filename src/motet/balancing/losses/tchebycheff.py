"""The largest of the task losses, each over its own mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, stacked
from motet.errors import at_least, require
from motet.registry import register

__all__ = ["Tchebycheff"]


@register("balance", "tchebycheff")
@dataclass(frozen=True, kw_only=True)
class Tchebycheff(LossBalance):
    """The largest ``w loss``, where w is in inverse proportion to a task's running mean loss and sums to k.

    Only the task that is worst against its own mean drives a step; the others have weight 0, and tasks that are
    equally bad share. A task whose mean comes near 0 takes most of the sum of w, so the others slow down.

    Source: Mao et al. 2020, "Tchebycheff Procedure for Multi-task Text Classification". There w sums to 1.

    Args:
        window: steps of a task after which the mean forgets: from then on each step moves it by 1 / window.

    Relations:
        `SmoothTchebycheff` lets every task take part.

    Example:
        >>> Tchebycheff()
        Tchebycheff(window=1000)
    """

    window: int = 1000

    def __post_init__(self) -> None:
        require(at_least(1, window=self.window))

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _Tchebycheff(tasks, self.window)


class _Tchebycheff(LossBalancer):
    means: Tensor
    counts: Tensor

    def __init__(self, tasks: Iterable[str], window: int) -> None:
        super().__init__(tasks)
        self.window = window
        for name in ("means", "counts"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))

    def prepare(self, losses: Mapping[str, Tensor]) -> None:
        rows = self.rows(losses)
        self.counts[rows] += 1
        self.means[rows] += (stacked(losses) - self.means[rows]) / self.counts[rows].clamp(max=self.window)

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        means = self.means[self.rows(losses)].clamp(min=FLOOR)
        scale = len(losses) / (1 / means).sum()
        return scale * (stacked(losses) / means).amax()  # tasks that are equally bad share its slope
