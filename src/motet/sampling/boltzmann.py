"""A bandit that prefers the arms after which the primary task scored well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motet.errors import Problem, positive, require, share
from motet.registry import register
from motet.sampling.arms import Arms
from motet.sampling.base import Epoch, Mixing, Sampler, Supply, normalised
from motet.sampling.checks import named_task

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["BoltzmannBandit"]


@register("sampler", "boltzmann")
@dataclass(frozen=True, kw_only=True)
class BoltzmannBandit(Sampler):
    """Shares ``softmax(Q / temperature)``, where Q says how well the primary task scored after an arm was pulled.

    After each check, with R the score of the primary task, turned so that higher is better (the paper takes minus its
    validation loss), and n of N pulls since the check before having been of an arm:

        Q <- (1 - rate) ** (n / N) Q + (1 - (1 - rate) ** (n / N)) R

    With one pull between two checks this is the paper's ``(1 - rate) Q + rate R`` for the arm that was pulled, and
    nothing for the others. A single batch pulls the arm of its rows; a mixed one pulls every arm by its share.

    Source: Guo, Pasunuru and Bansal 2018, "Dynamic Multi-Level Multi-Task Learning for Sentence Simplification".

    Args:
        primary: the task whose score counts; by default the first.
        temperature: the lower, the more the best arm is preferred; in units of the score.
        rate: how fast Q follows the scores.
        start: Q at first. Above what can be reached, every arm is tried before one is preferred.

    Relations:
        `ThompsonBandit` asks only whether the score rose.

    Example:
        >>> mixing = BoltzmannBandit().build({"a": Supply(9, ("a",)), "b": Supply(5, ("b",))}, seed=0)
        >>> mixing.pulled({"b": 1.0})
        >>> mixing.observe({"a": 0.5})
        >>> {name: round(share, 3) for name, share in mixing.shares(Epoch(1, 2)).items()}
        {'a': 0.818, 'b': 0.182}
    """

    primary: str = ""
    temperature: float = 0.1
    rate: float = 0.3
    start: float = 1.0

    def __post_init__(self) -> None:
        problems = [*positive(temperature=self.temperature), *share(rate=self.rate)]
        if not math.isfinite(self.start):
            problems.append(Problem("start", "must be a number", str(self.start)))
        require(problems)

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        return _Boltzmann(streams, seed, self)

    def problems(self, tasks: Sequence[Task]) -> Iterable[Problem]:
        yield from named_task("primary", self.primary, tasks)


class _Boltzmann(Arms):
    """`values` are the Q of all arms."""

    def __init__(self, streams: Mapping[str, Supply], seed: int, recipe: BoltzmannBandit) -> None:
        super().__init__(streams, seed, recipe.primary)
        self.recipe = recipe
        self.values = dict.fromkeys(streams, recipe.start)

    def shares(self, epoch: Epoch) -> dict[str, float]:
        best = max(self.values.values())
        return normalised({n: math.exp((value - best) / self.recipe.temperature) for n, value in self.values.items()})

    def learn(self, score: float, parts: Mapping[str, float]) -> None:
        for name, part in parts.items():
            kept = (1 - self.recipe.rate) ** part
            self.values[name] = kept * self.values[name] + (1 - kept) * score

    def state(self) -> dict[str, Any]:
        return {**super().state(), "values": dict(self.values)}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.values = dict(state["values"])
