"""What rules share that learn one scale for each task, jointly with the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.losses.adam import Adam
from motet.balancing.losses.weighting import LossBalance, LossBalancer, stacked
from motet.errors import Problem, positive, require

__all__ = ["LearnedScales", "ScaleLearner"]

_WIDEST = 20


@dataclass(frozen=True, kw_only=True)
class LearnedScales(LossBalance):
    """The recipe of a rule that learns its scales.

    Args:
        learning_rate: of the scales, which Adam learns; they have no weight decay.
        start: the scale of every task at first.
        floor: a loss below it does not raise the weight of its task any more.
    """

    learning_rate: float = 0.025
    start: float = 0.0
    floor: float = 1e-4

    def __post_init__(self) -> None:
        require(self._wrong())

    def _wrong(self) -> Iterator[Problem]:
        yield from positive(learning_rate=self.learning_rate, floor=self.floor)
        if not abs(self.start) <= _WIDEST:
            yield Problem("start", f"must lie between -{_WIDEST} and {_WIDEST}: it is a logarithm", str(self.start))


class ScaleLearner(LossBalancer, ABC):
    """A formula of losses and scales, which are learned to make it small.

    Args:
        tasks: all of the experiment.
        recipe: rate, start and floor.
    """

    def __init__(self, tasks: Iterable[str], recipe: LearnedScales) -> None:
        super().__init__(tasks)
        self.floor = recipe.floor
        self.scales = Adam(len(self.tasks), start=recipe.start, rate=recipe.learning_rate)

    @abstractmethod
    def formula(self, losses: Tensor, scales: Tensor) -> Tensor:
        """What is made small, by the model through the losses and by the rule through the scales."""

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        return self.formula(stacked(losses), self.scales.values[self.rows(losses)])

    def learn(self, losses: Mapping[str, Tensor]) -> None:
        rows = self.rows(losses)
        scales = self.scales.values[rows].requires_grad_()
        with torch.enable_grad():
            value = self.formula(stacked(losses).clamp(min=self.floor), scales)
        self.scales.descend(rows, torch.autograd.grad(value, scales)[0])
