"""The task that is furthest behind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from motet.balancing.base import Facts
from motet.errors import Problem, positive, require
from motet.registry import register
from motet.training.schedules.base import Moment, Schedule, Scheduler
from motet.training.schedules.orders import known

__all__ = ["WorstFirst"]


@register("schedule", "worst_first")
@dataclass(frozen=True, kw_only=True)
class WorstFirst(Schedule):
    """From one check to the next the task with the worst normalised score, and those that are held.

    A score is normalised by what is to be reached: ``1 + (score - reference) / |reference|``; one that was never finite
    is the worst. Of equals the one with fewer passes over its own rows comes first, so they take turns. Until the
    first check all tasks take part. Of the tasks that have converged none is the worst.

    Source: Mao et al. 2020, "Tchebycheff Procedure for Multi-task Text Classification", which compares training losses
    with their running means, at every step.

    Args:
        references: by task, the headline validation score to be reached, such as that of a model of its own; for
            tasks that are not named the best so far. Without any, the task that has lost most is the worst.

    Relations:
        The balance `Tchebycheff` takes losses and computes all of them.

    Example:
        >>> from motet.balancing import Facts
        >>> from motet.training.schedules import Moment
        >>> tasks = {"a": Facts(), "b": Facts()}
        >>> scheduler = WorstFirst(references={"a": 0.9, "b": 0.6}).build(tasks, seed=0)
        >>> scheduler.observe({"a": 0.6, "b": 0.5}, Moment(["a", "b"]))
        >>> scheduler.live(Moment(["a", "b"]))
        ('a',)
    """

    references: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(positive(**{f"references.{task}": score for task, score in self.references.items()}))

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        sign = {task: 1 if facts.higher_is_better else -1 for task, facts in tasks.items()}
        return _WorstFirst({task: sign[task] * score for task, score in self.references.items()})

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from known("references", self.references, tasks)


class _WorstFirst(Scheduler):
    def __init__(self, references: Mapping[str, float]) -> None:
        self._references = references
        self._bests: dict[str, float] = {}
        self._normalised: dict[str, float] = {}

    def live(self, now: Moment) -> tuple[str, ...]:
        if not self._normalised or not now.learning:
            return tuple(now.tasks)
        worst = min(now.learning, key=lambda task: (self._normalised.get(task, -math.inf), now.passes(task)))
        return (*now.held, worst)

    def observe(self, scores: Mapping[str, float], now: Moment) -> None:
        finite = {task: score for task, score in scores.items() if math.isfinite(score)}
        for task, score in finite.items():
            self._bests[task] = max(score, self._bests.get(task, score))
            reference = self._references.get(task, self._bests[task])
            self._normalised[task] = 1 + (score - reference) / (abs(reference) or 1.0)

    def state(self) -> dict[str, Any]:
        return {"bests": dict(self._bests), "normalised": dict(self._normalised)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._bests, self._normalised = dict(state["bests"]), dict(state["normalised"])
