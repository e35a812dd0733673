"""One task after the other, those before it held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from motet.balancing.base import Facts
from motet.errors import Problem, at_least, require
from motet.registry import register
from motet.training.schedules.base import Moment, Timetable
from motet.training.schedules.orders import Order, every_task_once, in_order, ordered, until

__all__ = ["Sequential"]


@register("schedule", "sequential")
@dataclass(frozen=True, kw_only=True)
class Sequential(Timetable):
    """One task after the other: when the newest has converged, the next joins those that are held.

    A task that goes back to learning sends nobody away who has joined.

    Source: Lu et al. 2022, "Asynchronous Convergence in Multi-Task Learning via Knowledge Distillation from Converged
    Tasks", the sequential setting.

    Args:
        order: task names, first to last, or a word: `given` is the order of the recipe; `size_desc` and `size_asc` go
            by the number of training examples, `easy_first` by the steps that each task needs in a short run alone;
            `random` is drawn once.
        refresh_soft_labels: when a task has converged, those that are held already get soft labels of the weights
            that it is held by, in place of those they have.
        pilot_steps: most steps of each short run that `easy_first` makes.
        order_seed: of the `random` order; by default that of the training.

    Relations:
        `Joint` starts with all of them. With one task both are single-task training with early stopping. `Curriculum`
        need not wait for convergence.

    Example:
        >>> from motet.training.schedules import Moment
        >>> schedule = Sequential(order=("b", "a"))
        >>> schedule.live(Moment(["a", "b"])), schedule.live(Moment(["a", "b"], settled=["b"]))
        (('b',), ('b', 'a'))
    """

    order: tuple[str, ...] | Order = "given"
    refresh_soft_labels: bool = False
    pilot_steps: int = 200
    order_seed: int | None = None

    def __post_init__(self) -> None:
        seeds = {} if self.order_seed is None else {"order_seed": self.order_seed}
        require([*at_least(1, pilot_steps=self.pilot_steps), *at_least(0, **seeds)])

    @property
    def refreshes(self) -> bool:
        return self.refresh_soft_labels

    def resolve(self, tasks: Mapping[str, Facts], seed: int) -> Sequential:
        if isinstance(self.order, tuple) or self.order == "easy_first":  # the second is found by runs
            return self
        sizes = {task: facts.examples for task, facts in tasks.items()}
        return replace(self, order=ordered(self.order, sizes, seed if self.order_seed is None else self.order_seed))

    def live(self, now: Moment) -> tuple[str, ...]:
        order = self.order if isinstance(self.order, tuple) else ()
        return until(in_order(order, now), now, over=lambda task: task in now.settled)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        if isinstance(self.order, tuple):
            yield from every_task_once("order", self.order, tasks)

    def waits_for(self, task: str) -> bool:
        return True
