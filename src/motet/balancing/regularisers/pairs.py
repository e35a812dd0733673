"""Regularisers that compare tasks two by two."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from motet.balancing.regularisers.base import Features, Parameters, Penalty, Regulariser
from motet.errors import Problem, nearest

__all__ = ["Matching", "Paired"]


@dataclass(frozen=True, kw_only=True)
class Paired(Regulariser):
    """The recipe of a penalty on pairs of tasks: the mean over those pairs of which a batch has both.

    Args:
        tasks: pairs of tasks, such as ``[[a, b], [a, c]]``; by default every pair.
    """

    tasks: tuple[tuple[str, str], ...] = ()

    def faults(self) -> Iterable[Problem]:
        seen: list[set[str]] = []
        given: Sequence[Any] = self.tasks  # a pair alone, where a list of pairs is wanted, is a likely slip
        for place, pair in enumerate(given):
            if isinstance(pair, str) or len(pair) != 2 or pair[0] == pair[1]:
                yield Problem(f"tasks.{place}", "must be two different tasks", str(pair), "Write [[a, b]].")
            elif set(pair) in seen:
                yield Problem(f"tasks.{place}", "is named twice", ", ".join(pair))
            seen.append(set(pair))

    def problems(self, tasks: Mapping[str, bool]) -> Iterable[Problem]:
        for place, pair in enumerate(self.tasks):
            for name in pair:
                if name not in tasks:
                    yield Problem(f"tasks.{place}", f"names no task. {nearest(name, tasks)}", name)
        if len(tasks) < 2:
            yield Problem("", "compares tasks with each other, and there is only one")

    def pairs(self, names: Iterable[str]) -> Sequence[tuple[str, str]]:
        """The pairs that are compared where only some tasks are there."""
        there = sorted(names)
        return [(a, b) for a, b in self.tasks or combinations(there, 2) if a in there and b in there]


@dataclass(frozen=True, kw_only=True)
class Matching(Paired):
    """The recipe of a penalty on the representations of pairs of tasks.

    A task with fewer than two rows in a batch is left out: one row tells nothing about how rows are spread.
    """

    reads: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def build(self, parameters: Parameters) -> Penalty:
        return _Matching(self)

    @abstractmethod
    def distance(self, one: Tensor, other: Tensor) -> Tensor:
        """What is penalised.

        Args:
            one: the states of one task, ``[rows, width]``, two rows or more.
            other: those of the other.
        """


class _Matching(Penalty):
    def __init__(self, recipe: Matching) -> None:
        super().__init__()
        self.recipe = recipe

    def forward(self, features: Mapping[str, Features]) -> Tensor:
        there = {name: of.states for name, of in features.items() if len(of.states) > 1}
        found = [self.recipe.distance(there[a], there[b]) for a, b in self.recipe.pairs(there)]
        return self.recipe.weight * torch.stack(found).mean() if found else torch.zeros(())
