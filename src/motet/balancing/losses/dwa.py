"""Dynamic weight average: tasks whose losses fall slowly weigh more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, WeightedSum, stacked
from motet.errors import at_least, positive, require
from motet.registry import register

__all__ = ["DWA"]


@register("balance", "dwa")
@dataclass(frozen=True, kw_only=True)
class DWA(LossBalance):
    """Weights ``k softmax(r / temperature)``, where r is a task's last mean loss over the one before.

    Means are taken over windows of `every` steps; the paper takes epochs, which tasks of different size do not
    share. Until a task has two windows its r is 1, and where the older mean is 0 too. The weights of the k tasks of
    a step sum to k.

    Source: Liu, Johns and Davison 2019, "End-to-End Multi-Task Learning with Attention".

    Args:
        temperature: the higher, the more equal the weights.
        every: steps in a window. Short ones follow the noise of batches.

    Example:
        >>> DWA(every=25)
        DWA(temperature=2.0, every=25)
    """

    temperature: float = 2.0
    every: int = 100

    def __post_init__(self) -> None:
        require([*positive(temperature=self.temperature), *at_least(1, every=self.every)])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _DWA(tasks, self)


class _DWA(WeightedSum):
    steps: Tensor
    sums: Tensor
    counts: Tensor
    newer: Tensor
    older: Tensor

    def __init__(self, tasks: Iterable[str], recipe: DWA) -> None:
        super().__init__(tasks)
        self.recipe = recipe
        self.register_buffer("steps", torch.zeros(()))
        for name in ("sums", "counts", "newer", "older"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))

    def weigh(self, rows: Tensor) -> Tensor:
        newer, older = self.newer[rows], self.older[rows]
        rates = torch.where(older > 0, newer / older.clamp(min=FLOOR), 1.0)
        return len(rows) * torch.softmax(rates / self.recipe.temperature, dim=0)

    def learn(self, losses: Mapping[str, Tensor]) -> None:
        rows = self.rows(losses)
        self.steps += 1
        self.sums[rows] += stacked(losses)
        self.counts[rows] += 1
        over = self.steps == self.recipe.every  # a tensor, so that nobody waits for the device
        full = over & (self.counts > 0)
        self.older = torch.where(full, self.newer, self.older)
        self.newer = torch.where(full, self.sums / self.counts.clamp(min=1), self.newer)
        for counted in (self.steps, self.sums, self.counts):
            counted.masked_fill_(over, 0)
