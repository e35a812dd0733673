"""A bandit that believes in the arms after which the primary task got better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betainc

from motet.errors import Problem, positive, require, share
from motet.registry import register
from motet.sampling.arms import Arms
from motet.sampling.base import Epoch, Mixing, Sampler, Supply, normalised
from motet.sampling.checks import named_task

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["ThompsonBandit"]

_GRID = np.linspace(0, 1, 2**12 + 1)


@register("sampler", "thompson")
@dataclass(frozen=True, kw_only=True)
class ThompsonBandit(Sampler):
    """The chance of each arm to be the best, by what is believed of it: a Beta distribution with parameters a and b.

    After each check but the first, r is 1 if the primary task did not score worse than at the check before, else 0.
    With n of N pulls since then having been of an arm:

        a <- (1 - decay) a + decay prior + (n / N) r
        b <- (1 - decay) b + decay prior + (n / N) (1 - r)

    With one pull between two checks this is the paper's rule, which adds to the arm that was pulled. A single batch is
    of the arm whose draw from its Beta is highest, the very first one of the primary task; a mixed one pulls every arm
    by its chance to have the highest draw.

    Source: Guo, Pasunuru and Bansal 2019, "AutoSeM: Automatic Task Selection and Mixing in Multi-Task Learning", its
    first stage.

    Args:
        primary: the task whose score counts; by default the first.
        prior: a and b at first, and what they decay to.
        decay: how fast old checks are forgotten.

    Relations:
        `BoltzmannBandit` goes by the score itself.

    Example:
        >>> mixing = ThompsonBandit().build({"a": Supply(9, ("a",)), "b": Supply(5, ("b",))}, seed=0)
        >>> for score in (0.5, 0.6):
        ...     mixing.pulled({"b": 1.0})
        ...     mixing.observe({"a": score})
        >>> {name: round(share, 3) for name, share in mixing.shares(Epoch(1, 2)).items()}
        {'a': 0.333, 'b': 0.667}
    """

    primary: str = ""
    prior: float = 1.0
    decay: float = 0.3

    def __post_init__(self) -> None:
        require([*positive(prior=self.prior), *share(decay=self.decay)])

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        return _Thompson(streams, seed, self)

    def problems(self, tasks: Sequence[Task]) -> Iterable[Problem]:
        yield from named_task("primary", self.primary, tasks)


class _Thompson(Arms):
    """`beliefs` are a and b of all arms, `last` the score of the check before, `begun` whether an arm was picked."""

    def __init__(self, streams: Mapping[str, Supply], seed: int, recipe: ThompsonBandit) -> None:
        super().__init__(streams, seed, recipe.primary)
        self.recipe = recipe
        self.beliefs = dict.fromkeys(streams, (recipe.prior, recipe.prior))
        self.last: float | None = None
        self.begun = False
        self._shares = _chances(self.beliefs)

    def shares(self, epoch: Epoch) -> dict[str, float]:
        return self._shares

    def pick(self, candidates: Sequence[str], shares: Mapping[str, float]) -> str:
        if not self.begun and self.home in candidates:
            self.begun = True
            return self.home
        draws = [self.random.beta(*self.beliefs[name]) for name in candidates]
        return candidates[int(np.argmax(draws))]

    def learn(self, score: float, parts: Mapping[str, float]) -> None:
        if self.last is not None:
            reward = float(score >= self.last)
            self.beliefs = {name: self._revised(name, part, reward) for name, part in parts.items()}
            self._shares = _chances(self.beliefs)
        self.last = score

    def _revised(self, name: str, part: float, reward: float) -> tuple[float, float]:
        decay, prior = self.recipe.decay, self.recipe.prior
        good, bad = ((1 - decay) * belief + decay * prior for belief in self.beliefs[name])
        return good + part * reward, bad + part * (1 - reward)

    def state(self) -> dict[str, Any]:
        beliefs = {name: list(belief) for name, belief in self.beliefs.items()}
        return {**super().state(), "beliefs": beliefs, "last": self.last, "begun": self.begun}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.beliefs = {name: (good, bad) for name, (good, bad) in state["beliefs"].items()}
        self.last, self.begun = state["last"], state["begun"]
        self._shares = _chances(self.beliefs)


def _chances(beliefs: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """The chance of each Beta distribution to have the highest draw: a sum over a grid of values of that draw."""
    below = {name: betainc(good, bad, _GRID) for name, (good, bad) in beliefs.items()}
    here = {name: np.diff(curve) for name, curve in below.items()}
    halfway = {name: (curve[1:] + curve[:-1]) / 2 for name, curve in below.items()}
    return normalised({name: float((here[name] * _product(halfway, name)).sum()) for name in beliefs})


def _product(curves: Mapping[str, np.ndarray], without: str) -> np.ndarray:
    return np.asarray(np.prod([curve for name, curve in curves.items() if name != without], axis=0))
