"""Shares that are learned: rows whose gradient helps all tasks are drawn more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from motet.errors import Problem, positive, require
from motet.registry import register
from motet.sampling.base import Epoch, Mixing, Sampler, Supply

__all__ = ["MultiDDS"]

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@register("sampler", "multidds")
@dataclass(frozen=True, kw_only=True)
class MultiDDS(Sampler):
    """Shares ``p = softmax(psi)``, learned so that streams whose gradients agree with the needs of all tasks draw more.

    Every so many steps, each open stream is tried: from a batch of its rows a gradient, a virtual step against it, the
    summed gradients of all live tasks on validation rows there, and back. The reward R of a stream is the cosine of the
    two gradients, in the parameters that tasks share. Then psi takes steps of Adam that descend

        - sum over open streams of  R log p

    with p over the open streams alone; those of the others stay. At first p is proportional to size. Batches for
    trials are drawn apart, and training goes on as if there had been none; a trial costs two ordinary steps.

    Source: Wang, Tsvetkov and Neubig 2020, "Balancing Training for Multilingual Neural Machine Translation".

    Args:
        every: steps between two trials; 1,000 in the paper, whose runs are longer.
        updates: steps of Adam after each trial.
        rate: of Adam.
        pace: length of the virtual step, as a learning rate.

    Relations:
        `Proportional` is where it starts. The bandits learn from scores instead.

    Example:
        >>> mixing = MultiDDS(updates=1, rate=0.1).build({"a": Supply(5, ("a",)), "b": Supply(5, ("b",))}, seed=0)
        >>> mixing.reward({"a": 0.5, "b": -0.5})
        >>> {name: round(share, 3) for name, share in mixing.shares(Epoch(1, 2)).items()}
        {'a': 0.55, 'b': 0.45}
    """

    every: int = 100
    updates: int = 200
    rate: float = 1e-4
    pace: float = 1e-3

    def __post_init__(self) -> None:
        problems = [
            Problem(name, "must be at least 1", str(value))
            for name, value in (("every", self.every), ("updates", self.updates))
            if value < 1
        ]
        require([*problems, *positive(rate=self.rate, pace=self.pace)])

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        return _MultiDDS(streams, seed, self)


class _MultiDDS(Mixing):
    """`psi`, and Adam's moments and counts of steps, are one number a stream."""

    def __init__(self, streams: Mapping[str, Supply], seed: int, recipe: MultiDDS) -> None:
        super().__init__(streams, seed)
        self.recipe = recipe
        self.every, self.pace = recipe.every, recipe.pace
        total = sum(supply.examples for supply in streams.values())
        self.psi = np.asarray([math.log(supply.examples / total) for supply in streams.values()])
        self.first, self.second, self.steps = (np.zeros(len(streams)) for _ in range(3))

    def shares(self, epoch: Epoch) -> dict[str, float]:
        return dict(zip(self.streams, _softmax(self.psi).tolist(), strict=True))

    def reward(self, rewards: Mapping[str, float]) -> None:
        names = list(self.streams)
        rows, given = [names.index(name) for name in rewards], np.asarray(list(rewards.values()))
        for _ in range(self.recipe.updates):
            self._descend(rows, _softmax(self.psi[rows]) * given.sum() - given)

    def _descend(self, rows: list[int], slopes: np.ndarray) -> None:
        """One step of Adam for some of the numbers."""
        self.steps[rows] += 1
        self.first[rows] = _BETAS[0] * self.first[rows] + (1 - _BETAS[0]) * slopes
        self.second[rows] = _BETAS[1] * self.second[rows] + (1 - _BETAS[1]) * slopes**2
        first = self.first[rows] / (1 - _BETAS[0] ** self.steps[rows])
        second = self.second[rows] / (1 - _BETAS[1] ** self.steps[rows])
        self.psi[rows] -= self.recipe.rate * first / (np.sqrt(second) + _EPSILON)

    def state(self) -> dict[str, Any]:
        adam = {"first": self.first.tolist(), "second": self.second.tolist(), "steps": self.steps.tolist()}
        return {**super().state(), "psi": self.psi.tolist(), "adam": adam}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.psi = np.asarray(state["psi"])
        self.first, self.second, self.steps = (np.asarray(state["adam"][n]) for n in ("first", "second", "steps"))


def _softmax(numbers: np.ndarray) -> np.ndarray:
    powers = np.exp(numbers - numbers.max())
    return np.asarray(powers / powers.sum())
