"""The task that counts, and one other that is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from motet.balancing.base import Facts
from motet.errors import Problem
from motet.registry import register
from motet.training.schedules.base import Moment, Schedule, Scheduler
from motet.training.schedules.orders import known

__all__ = ["PrimaryAuxiliary"]

_STREAM = 5  # so that no other generator of the run draws the same numbers


@register("schedule", "primary_auxiliary")
@dataclass(frozen=True, kw_only=True)
class PrimaryAuxiliary(Schedule):
    """The primary task in every step, and with it one of the others, drawn anew for each step.

    All auxiliary tasks have the same chance, held ones too: a task that converges keeps its place.

    Source: Augenstein and Søgaard 2017, "Multi-Task Learning of Keyphrase Boundary Classification".

    Args:
        primary: the task that always takes part.

    Relations:
        `Joint` takes all of them in every step; with two tasks it is the same.

    Example:
        >>> from motet.balancing import Facts
        >>> from motet.training.schedules import Moment
        >>> names = ["a", "b", "c"]
        >>> scheduler = PrimaryAuxiliary(primary="b").build(dict.fromkeys(names, Facts()), seed=0)
        >>> [len(scheduler.live(Moment(names, step=step))) for step in range(3)]
        [2, 2, 2]
    """

    primary: str

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        return _PrimaryAuxiliary(self.primary, seed)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from known("primary", [self.primary], tasks)


class _PrimaryAuxiliary(Scheduler):
    def __init__(self, primary: str, seed: int) -> None:
        self._primary = primary
        self._seed = seed

    def live(self, now: Moment) -> tuple[str, ...]:
        auxiliaries = [task for task in now.tasks if task != self._primary]
        drawn = [auxiliaries[self._draw(now.step, len(auxiliaries))]] if auxiliaries else []
        return tuple(task for task in now.tasks if task == self._primary or task in drawn)

    def _draw(self, step: int, count: int) -> int:
        """A number that depends on seed and step alone, so that there is nothing to save."""
        return int(np.random.default_rng([self._seed, _STREAM, step]).integers(count))
