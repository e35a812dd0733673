"""Weights that are switched on by the clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.checks import no_strangers
from motet.balancing.losses.weighting import LossBalance, LossBalancer, WeightedSum
from motet.errors import Problem, at_least, positive, require
from motet.registry import register

__all__ = ["SigmoidWeights"]


@register("balance", "sigmoid")
@dataclass(frozen=True, kw_only=True)
class SigmoidWeights(LossBalance):
    """Weights ``constant / (1 + exp((switch - t) / width))``, where t is the share of the budget that is spent.

    The paper counts epochs. A task without a switch has its constant from the start. The weights are not normalised.

    Source: Nishino et al. 2019, "Keeping Consistency of Sentence Generation and Document Classification with Multi-Task
    Learning".

    Args:
        constants: what the weights grow to, by task; 1 for those that are not named.
        switches: by task, the share of the budget at which it has half of its constant.
        width: the share of the budget in which a weight goes from a half to about three quarters of its constant.

    Relations:
        `LossRatio` goes by what the reference task has learned. The schedule `Sequential` adds a task when those
        before it have converged.

    Example:
        >>> balancer = SigmoidWeights(switches={"summary": 0.5}).build({"summary": Facts(), "tags": Facts()})
        >>> balancer.begin(step=500, steps=1000)
        >>> balancer.weigh(balancer.rows(["summary", "tags"]))
        tensor([0.5000, 1.0000])
    """

    constants: Mapping[str, float] = field(default_factory=dict)
    switches: Mapping[str, float] = field(default_factory=dict)
    width: float = 0.05

    def __post_init__(self) -> None:
        constants = at_least(0, **{f"constants.{task}": constant for task, constant in self.constants.items()})
        switches = at_least(0, **{f"switches.{task}": switch for task, switch in self.switches.items()})
        require([*constants, *switches, *positive(width=self.width)])

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        require(self.problems(list(tasks)))
        return _SigmoidWeights(tasks, self)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from no_strangers("constants", self.constants, tasks)
        yield from no_strangers("switches", self.switches, tasks)


class _SigmoidWeights(WeightedSum):
    constants: Tensor
    switches: Tensor

    def __init__(self, tasks: Iterable[str], recipe: SigmoidWeights) -> None:
        super().__init__(tasks)
        self.width = recipe.width
        self.spent = 0.0
        constants = torch.tensor([recipe.constants.get(task, 1.0) for task in self.tasks])
        switches = torch.tensor([recipe.switches.get(task, -math.inf) for task in self.tasks])
        self.register_buffer("constants", constants, persistent=False)  # the recipe knows them
        self.register_buffer("switches", switches, persistent=False)

    def begin(self, step: int, steps: int) -> None:
        self.spent = step / max(1, steps)

    def weigh(self, rows: Tensor) -> Tensor:
        return self.constants[rows] * torch.sigmoid((self.spent - self.switches[rows]) / self.width)
