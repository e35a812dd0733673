"""GradNorm: weights that are learned so that tasks train at like rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting, Where
from motet.balancing.gradients.geometry import lengths
from motet.balancing.losses.adam import Adam
from motet.balancing.losses.weighting import FLOOR
from motet.errors import Problem, at_least, one_of, positive
from motet.registry import register

__all__ = ["GradNorm"]

Optimiser = Literal["adam", "sgd"]

_LEAST = 1e-3


@register("balance", "gradnorm")
@dataclass(frozen=True, kw_only=True)
class GradNorm(GradientBalance):
    """Weights that are learned so that gradients are long where a task has fallen behind.

    How far a task has come is its loss over its first loss. The length of each weighted gradient is to be the mean
    length times its task's relative progress to the power `alpha`; in every step the weights, which start at 1, move
    towards that, and are used in the next. The weights of the k tasks of a step sum to k, so the update is on the
    scale of the sum of gradients; a weight is at least 0.001 before that. A loss below 1e-8 counts as 1e-8.

    Source: Chen et al. 2018, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
    Networks".

    Args:
        alpha: how strongly tasks are pulled to one pace; 0 makes all gradients equally long.
        learning_rate: of the weights.
        optimiser: of the weights; the steps of plain `sgd` grow with the gradients.

    Relations:
        It looks at lengths alone; `IMTLG` and `NashMTL` also at angles. `DWA` compares losses without gradients.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 16.0]], dtype=torch.float64)
        >>> weighting = GradNorm().weighting(["a", "b"])
        >>> [weighting(gramian, ["a", "b"], torch.tensor([0.5, 0.8])).tolist() for _ in range(2)][1]
        [1.02499..., 0.97500...]
    """

    where: Where = "last_layer"
    alpha: float = 1.5
    learning_rate: float = 0.025
    optimiser: Optimiser = "adam"

    def faults(self) -> Iterable[Problem]:
        yield from at_least(0, alpha=self.alpha)
        yield from positive(learning_rate=self.learning_rate)
        yield from one_of(Optimiser, optimiser=self.optimiser)

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _GradNorm(tasks, self)


class _GradNorm(Weighting):
    first: Tensor

    def __init__(self, tasks: Sequence[str], part: GradNorm) -> None:
        super().__init__(tasks)
        self.alpha = part.alpha
        self.plain = part.optimiser == "sgd"
        self.learned = Adam(len(self.tasks), start=1.0, rate=part.learning_rate)
        self.register_buffer("first", torch.zeros(len(self.tasks), dtype=torch.float64))  # 0: not seen yet

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        if losses is None:
            raise ValueError("GradNorm needs the losses of the tasks")
        rows, long = self.rows(names), lengths(gramian)
        total = self.learned.values[rows].sum()
        weights = self.learned.values[rows] * (len(rows) / total)
        weighted = weights * long
        wanted = weighted.mean() * self._pace(rows, losses) ** self.alpha
        self._learn(rows, weights, (weighted - wanted).sign() * long, total)
        return weights.double()

    def _pace(self, rows: Tensor, losses: Tensor) -> Tensor:
        """How much of its first loss each task has left, relative to the others."""
        losses = losses.clamp(min=FLOOR)
        self.first[rows] = torch.where(self.first[rows] > 0, self.first[rows], losses)
        left = losses / self.first[rows]
        return left / left.mean()

    def _learn(self, rows: Tensor, weights: Tensor, slopes: Tensor, total: Tensor) -> None:
        """One step; the sum is kept, so that tasks that are absent keep their part of the whole."""
        values = self.learned.values
        values[rows] = weights
        if self.plain:
            values[rows] -= (self.learned.rate * slopes).float()
        else:
            self.learned.descend(rows, slopes.float())
        values[rows] = values[rows].clamp(min=_LEAST)
        values[rows] *= total / values[rows].sum()
