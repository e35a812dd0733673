"""All tasks all the time."""

from __future__ import annotations

from dataclasses import dataclass

from motet.registry import register
from motet.training.schedules.base import Moment, Timetable

__all__ = ["Joint"]


@register("schedule", "joint")
@dataclass(frozen=True, kw_only=True)
class Joint(Timetable):
    """All tasks from the first step to the last.

    Relations:
        `Sequential` adds one task at a time.

    Example:
        >>> from motet.training.schedules import Moment
        >>> Joint().live(Moment(["a", "b"]))
        ('a', 'b')
    """

    def live(self, now: Moment) -> tuple[str, ...]:
        return tuple(now.tasks)
