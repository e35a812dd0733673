"""A smooth maximum of the task losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, stacked
from motet.errors import at_least, positive, require
from motet.registry import register

__all__ = ["SmoothTchebycheff"]


@register("balance", "smooth_tchebycheff")
@dataclass(frozen=True, kw_only=True)
class SmoothTchebycheff(LossBalance):
    """``k mu log(sum(exp(loss / (nadir mu))))``: a maximum in which every task takes part.

    The nadir of a task is the mean of its first `warmup` losses; until then it is the mean so far. The ideal loss is
    0. A task weighs k times its softmax share, over its nadir. (The paper's formula; its code for multi-task learning
    takes the logarithm of ``loss / nadir`` first.)

    Source: Lin et al. 2024, "Smooth Tchebycheff Scalarization for Multi-Objective Optimization".

    Args:
        mu: near 0 the worst task drives alone; when large, all have equal shares.
        warmup: steps of a task that set its nadir.

    Relations:
        With mu near 0 it is the maximum of `Tchebycheff`, with means that stay.

    Example:
        >>> SmoothTchebycheff(mu=0.1)
        SmoothTchebycheff(mu=0.1, warmup=100)
    """

    mu: float = 1.0
    warmup: int = 100

    def __post_init__(self) -> None:
        require([*positive(mu=self.mu), *at_least(1, warmup=self.warmup)])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _SmoothTchebycheff(tasks, self)


class _SmoothTchebycheff(LossBalancer):
    nadirs: Tensor
    counts: Tensor

    def __init__(self, tasks: Iterable[str], recipe: SmoothTchebycheff) -> None:
        super().__init__(tasks)
        self.recipe = recipe
        for name in ("nadirs", "counts"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))

    def prepare(self, losses: Mapping[str, Tensor]) -> None:
        rows = self.rows(losses)
        self.counts[rows] += 1
        counts, nadirs = self.counts[rows], self.nadirs[rows]
        means = nadirs + (stacked(losses) - nadirs) / counts
        self.nadirs[rows] = torch.where(counts <= self.recipe.warmup, means, nadirs)

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        nadirs, mu = self.nadirs[self.rows(losses)].clamp(min=FLOOR), self.recipe.mu
        return len(losses) * mu * torch.logsumexp(stacked(losses) / nadirs / mu, dim=0)
