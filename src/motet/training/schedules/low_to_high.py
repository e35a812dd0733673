"""Every epoch goes from the lowest task to the highest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from motet.errors import Problem, at_least, require
from motet.registry import register
from motet.training.schedules.base import Moment, Timetable
from motet.training.schedules.orders import every_task_once, in_order

__all__ = ["LowToHigh"]


@register("schedule", "low_to_high")
@dataclass(frozen=True, kw_only=True)
class LowToHigh(Timetable):
    """In every epoch one task after the other, each with all of its training rows, from low level to high.

    The next to learn is the first, in order, of those that have finished the fewest passes. Held tasks keep their turn.

    The source clips the gradient to ``min(3, depth)``, by the depth of the task: 3 is `training.clip: 3.0`. It also
    keeps the weights near to what they were after the task before; that is no part of a schedule.

    Source: Hashimoto et al. 2017, "A Joint Many-Task Model: Growing a Neural Network for Multiple NLP Tasks".

    Args:
        order: task names, lowest first; by default the order of the recipe.
        rate_decay: lowers the learning rate in epoch k to ``1 / (1 + rate_decay * (k - 1))`` of what it would be; the
            source takes 0.3.

    Relations:
        `Phases` go through the tasks once. `Joint` mixes their rows.

    Example:
        >>> from motet.training.schedules import Moment
        >>> schedule = LowToHigh(order=("tags", "topic"), rate_decay=0.3)
        >>> schedule.live(Moment(["topic", "tags"], epochs={"tags": 1.0, "topic": 0.4}))
        ('topic',)
        >>> round(schedule.rate(Moment(["topic", "tags"], epochs={"tags": 1.0, "topic": 1.0})), 4)
        0.7692
    """

    order: tuple[str, ...] = ()
    rate_decay: float = 0.0

    def __post_init__(self) -> None:
        require(at_least(0, rate_decay=self.rate_decay))

    def live(self, now: Moment) -> tuple[str, ...]:
        order = in_order(self.order, now)
        return (min(order, key=lambda task: int(now.passes(task))),) if order else ()

    def rate(self, now: Moment) -> float:
        finished = min((int(now.passes(task)) for task in now.tasks), default=0)
        return 1 / (1 + self.rate_decay * finished)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        if self.order:
            yield from every_task_once("order", self.order, tasks)
