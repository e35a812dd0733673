"""Convergence balancer: validation curves of all tasks come down together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import FLOOR, LossBalance, LossBalancer, WeightedSum
from motet.errors import at_least, positive, require
from motet.registry import register

__all__ = ["CoBa"]

_MEMORY = 512
_SMALLEST_START = 1e-3


@register("balance", "coba")
@dataclass(frozen=True, kw_only=True)
class CoBa(LossBalance):
    """Weights from the slopes of validation curves, so that tasks converge together and none diverges.

    A curve is what a headline score lacks to 1 (or the score itself where it is to fall), over what it lacked at the
    first check. The slope a of a task is that of a line through its last `window` checks. For k tasks, with n slopes
    in the window and T slopes in all:

        RCS = softmax over tasks of   k a / (sum over tasks of abs(a))                 slow tasks weigh more
        ACS = softmax over tasks of  -n a / (sum over the window of abs(a))            rising tasks weigh less
        DF  = min(1, T softmax over checks of  -tau T m / (sum over checks of abs(m))) with m the largest a of a check
        weight = k (DF RCS + (1 - DF) ACS)

    The weights of the k tasks of a step sum to k; held tasks do not enter. The paper reads losses of validation
    batches in every step; here there is one point a check. The last 512 checks are remembered.

    Source: Gong et al. 2024, "CoBa: Convergence Balancer for Multitask Finetuning of Large Language Models".

    Args:
        window: checks that a line is laid through.
        warmup: weights are equal until so many checks have had a slope.
        tau: how soon a flat or rising curve gives the word to ACS.

    Relations:
        `DWA` goes by training losses, and looks at two points only.

    Example:
        >>> CoBa(window=8)
        CoBa(window=8, warmup=2, tau=5.0)
    """

    window: int = 5
    warmup: int = 2
    tau: float = 5.0

    def __post_init__(self) -> None:
        problems = [*at_least(2, window=self.window), *at_least(1, warmup=self.warmup), *positive(tau=self.tau)]
        require(problems)

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _CoBa(tasks, self)


class _CoBa(WeightedSum):
    starts: Tensor
    curves: Tensor
    slopes: Tensor

    def __init__(self, tasks: Mapping[str, Facts], recipe: CoBa) -> None:
        super().__init__(tasks)
        self.recipe = recipe
        self.falling = [task for task, facts in tasks.items() if not facts.higher_is_better]
        # A column a check, the newest last; nan where there is nothing. In single precision, a flat curve has a slope.
        for name, columns in (("starts", 1), ("curves", _MEMORY), ("slopes", _MEMORY)):
            self.register_buffer(name, torch.full((len(self.tasks), columns), math.nan, dtype=torch.float64))

    def observe(self, scores: Mapping[str, float]) -> None:
        lack = self.starts.new_tensor([[self._lack(task, scores.get(task, math.nan))] for task in self.tasks])
        self.starts = torch.where(self.starts.isnan(), lack.clamp(min=_SMALLEST_START), self.starts)
        self.curves = torch.cat([self.curves[:, 1:], lack / self.starts], dim=1)
        slopes = _slopes(self.curves[:, -self.recipe.window :])
        self.slopes = torch.cat([self.slopes[:, 1:], torch.where(lack.isnan(), math.nan, slopes)], dim=1)

    def weigh(self, rows: Tensor) -> Tensor:
        slopes = self.slopes[rows]
        now, recent = slopes[:, -1].nan_to_num(), slopes[:, -self.recipe.window :]
        counts, sums = (~recent.isnan()).sum(dim=1), recent.nan_to_num().abs().sum(dim=1)
        relative = torch.softmax(len(rows) * _over_sum(now), dim=0)
        absolute = torch.softmax(-counts * now / sums.clamp(min=FLOOR), dim=0)
        divergence = self._divergence(slopes)
        weights = len(rows) * (divergence * relative + (1 - divergence) * absolute)
        checks = (~slopes.isnan()).any(dim=0).sum()
        return torch.where(checks < self.recipe.warmup, 1.0, weights)

    def _divergence(self, slopes: Tensor) -> Tensor:
        """Near 1 while the worst curve falls as it used to, near 0 when it has become flat or rises."""
        known = (~slopes.isnan()).any(dim=0)
        worst = torch.where(known, slopes.nan_to_num(nan=-math.inf).amax(dim=0), 0)
        checks = known.sum()
        logits = -self.recipe.tau * checks * _over_sum(worst)
        shares = torch.softmax(torch.where(known, logits, -math.inf), dim=0)
        return (checks * shares[-1]).clamp(max=1)

    def _lack(self, task: str, score: float) -> float:
        if not math.isfinite(score):
            return math.nan
        return max(0.0, score if task in self.falling else 1 - score)


def _over_sum(numbers: Tensor) -> Tensor:
    return numbers / numbers.abs().sum().clamp(min=FLOOR)


def _slopes(curves: Tensor) -> Tensor:
    """The slope of the least-squares line through each row, as a column; nan where it has fewer than two points."""
    seen = ~curves.isnan()
    at = torch.arange(curves.shape[1], dtype=curves.dtype, device=curves.device)
    offsets = seen * (at - (seen * at).sum(dim=1, keepdim=True) / seen.sum(dim=1, keepdim=True))
    return (offsets * curves.nan_to_num()).sum(dim=1, keepdim=True) / offsets.square().sum(dim=1, keepdim=True)
