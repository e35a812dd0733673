"""The next task joins when those before it are good enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from motet.balancing.base import Facts
from motet.errors import Problem, positive, require
from motet.registry import register
from motet.training.schedules.base import Moment, Schedule, Scheduler
from motet.training.schedules.orders import every_task_once, in_order, known, until

__all__ = ["Curriculum"]


@register("schedule", "curriculum")
@dataclass(frozen=True, kw_only=True)
class Curriculum(Schedule):
    """One task after the other: the next joins when all before it have reached their scores.

    A task that has converged counts as having reached its score; one without a score must converge. A score that was
    reached once counts for good. Tasks that have joined stay, whether they learn or are held.

    Source: Bengio et al. 2009, "Curriculum Learning", with tasks in place of examples.

    Args:
        order: task names, first to last; by default the order of the recipe.
        scores: by task, the headline validation score to be reached, such as that of a model of its own.
        share: how much of these scores is enough, as 0.9. Of scores that should be low, one divided by it is.
        wait_epochs: passes over its own training rows after which nobody waits for a task any more, whatever its score.

    Relations:
        Without `scores` and `wait_epochs` it is `Sequential`. `Phases` go by the clock.

    Example:
        >>> from motet.balancing import Facts
        >>> from motet.training.schedules import Moment
        >>> scheduler = Curriculum(scores={"a": 0.8}, share=0.5).build({"a": Facts(), "b": Facts()}, seed=0)
        >>> now = Moment(["a", "b"])
        >>> scheduler.live(now)
        ('a',)
        >>> scheduler.observe({"a": 0.4, "b": 0.1}, now)
        >>> scheduler.live(now)
        ('a', 'b')
    """

    order: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    share: float = 1.0
    wait_epochs: float | None = None

    def __post_init__(self) -> None:
        epochs = {} if self.wait_epochs is None else {"wait_epochs": self.wait_epochs}
        require(positive(share=self.share, **epochs))

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        return _Curriculum(self, tasks)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        if self.order:
            yield from every_task_once("order", self.order, tasks)
        yield from known("scores", self.scores, tasks)

    def waits_for(self, task: str) -> bool:
        return self.wait_epochs is None and task not in self.scores


class _Curriculum(Scheduler):
    def __init__(self, recipe: Curriculum, tasks: Mapping[str, Facts]) -> None:
        self._recipe = recipe
        self._targets = {
            task: score * recipe.share if tasks[task].higher_is_better else -score / recipe.share
            for task, score in recipe.scores.items()
        }
        self._reached: set[str] = set()

    def live(self, now: Moment) -> tuple[str, ...]:
        return until(in_order(self._recipe.order, now), now, over=lambda task: self._over(task, now))

    def _over(self, task: str, now: Moment) -> bool:
        limit = self._recipe.wait_epochs
        return task in now.settled or task in self._reached or (limit is not None and now.passes(task) >= limit)

    def observe(self, scores: Mapping[str, float], now: Moment) -> None:
        joined = self.live(now)
        self._reached |= {task for task, target in self._targets.items() if task in joined and scores[task] >= target}

    def state(self) -> dict[str, Any]:
        return {"reached": sorted(self._reached)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._reached = set(state["reached"])
