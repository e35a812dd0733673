"""One task until it gets worse, then the next, more slowly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from motet.balancing.base import Facts
from motet.errors import Problem, at_least, require
from motet.registry import register
from motet.training.schedules.base import Moment, Schedule, Scheduler
from motet.training.schedules.orders import every_task_once

__all__ = ["StateMachine"]


@register("schedule", "state_machine")
@dataclass(frozen=True, kw_only=True)
class StateMachine(Schedule):
    """One task at a time: when its validation score gets worse, the next one's turn comes, at a lower learning rate.

    The tasks form a ring. One that has converged has no turn any more, and takes part in the turns of the others.

    Source: Gupta, Schütze and Andrassy 2016, "Table Filling Multi-Task Recurrent Neural Network for Joint Entity and
    Relation Extraction".

    Args:
        order: task names around the ring; by default the order of the recipe.
        worse_checks: so many checks in a row at which the score is worse than at the check before end a turn.
        factor: on the learning rate, at the end of every turn.
        least: the factor on the learning rate never falls below this.

    Relations:
        `Sequential` goes around once, and waits for convergence.

    Example:
        >>> from motet.balancing import Facts
        >>> from motet.training.schedules import Moment
        >>> scheduler = StateMachine(factor=0.5).build({"a": Facts(), "b": Facts()}, seed=0)
        >>> now = Moment(["a", "b"])
        >>> for score in (0.5, 0.6, 0.4):
        ...     scheduler.observe({"a": score, "b": 0.3}, now)
        >>> scheduler.live(now), scheduler.rate(now)
        (('b',), 0.5)
    """

    order: tuple[str, ...] = ()
    worse_checks: int = 1
    factor: float = 0.5
    least: float = 0.01

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        yield from at_least(1, worse_checks=self.worse_checks)
        for name in ("factor", "least"):
            if not 0 < getattr(self, name) <= 1:
                yield Problem(name, "must be above 0 and at most 1", str(getattr(self, name)))

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        return _StateMachine(self, self.order or tuple(tasks))

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        if self.order:
            yield from every_task_once("order", self.order, tasks)


class _StateMachine(Scheduler):
    def __init__(self, recipe: StateMachine, ring: Sequence[str]) -> None:
        self._recipe = recipe
        self._ring = tuple(ring)
        self._task = ""
        self._score: float | None = None
        self._worse = 0
        self._rate = 1.0

    def live(self, now: Moment) -> tuple[str, ...]:
        turn = self._turn(now)
        return tuple(task for task in now.tasks if task == turn or task in now.settled)

    def rate(self, now: Moment) -> float:
        return self._rate

    def observe(self, scores: Mapping[str, float], now: Moment) -> None:
        turn = self._turn(now)
        if turn != self._task:
            self._task, self._score, self._worse = turn, None, 0
        if not turn:
            return
        self._worse = self._worse + 1 if self._score is not None and scores[turn] < self._score else 0
        self._score = scores[turn]
        if self._worse >= self._recipe.worse_checks:
            self._task, self._worse = self._after(turn, now), 0
            self._score = scores[self._task]
            self._rate = max(self._recipe.least, self._rate * self._recipe.factor)

    def _turn(self, now: Moment) -> str:
        """The task whose turn it is; the next one where it has converged, none where all have."""
        if not now.learning:
            return ""
        if not self._task:
            return next(task for task in self._ring if task in now.learning)
        return self._task if self._task in now.learning else self._after(self._task, now)

    def _after(self, task: str, now: Moment) -> str:
        at = self._ring.index(task) + 1
        return next(other for other in (*self._ring[at:], *self._ring[:at]) if other in now.learning)

    def state(self) -> dict[str, Any]:
        return {"task": self._task, "score": self._score, "worse": self._worse, "rate": self._rate}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._task, self._score = state["task"], state["score"]
        self._worse, self._rate = state["worse"], state["rate"]
