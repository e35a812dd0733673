"""How fast a run goes, and how much longer it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

from motet.reporting.plain import number, whole
from motet.runs import Event

__all__ = ["Pace"]

RECENT = 50


class Pace:
    """The recent time of a step and of a check, and the time left at that pace.

    The first steps after a start are slow (memory is claimed, kernels are chosen) and are not counted. Medians keep one
    stalled step from changing the estimate; steps and checks are added up apart, because a check takes as long as
    many steps.

    Args:
        steps: how many steps are planned.
        every: steps between checks.

    Example:
        >>> pace = Pace(steps=100, every=50)
        >>> for step in (10, 20, 30):
        ...     pace.take({"event": "step", "step": step, "seconds": 60.0 if step == 10 else 5.0})
        >>> pace.seconds_left
        35.0
    """

    def __init__(self, steps: int | None = None, every: int | None = None) -> None:
        self.steps, self.every = steps, every
        self.step = 0
        self._step_seconds: deque[float] = deque(maxlen=RECENT)
        self._check_seconds: deque[float] = deque(maxlen=RECENT)
        self._warm = False

    def take(self, event: Event) -> None:
        """Learn from a `step`, `check` or `resumed` event; others are ignored."""
        step, seconds = whole(event.get("step")), number(event.get("seconds"))
        if event.get("event") == "step" and step is not None:
            self._take_steps(step - self.step, seconds)
            self.step = step
        elif event.get("event") == "check" and seconds is not None:
            self._check_seconds.append(seconds)
        elif event.get("event") == "resumed":
            self.step = self.step if step is None else step
            self._warm = False

    def _take_steps(self, done: int, seconds: float | None) -> None:
        if self._warm and done > 0 and seconds is not None:
            self._step_seconds.append(seconds / done)
        self._warm = True

    @property
    def steps_per_second(self) -> float | None:
        """The recent speed, checks not counted."""
        typical = _median(self._step_seconds)
        return 1 / typical if typical else None

    @property
    def seconds_left(self) -> float | None:
        """Time to the planned end; None until it can be told."""
        typical = _median(self._step_seconds)
        if typical is None or not self.steps:
            return None
        checks = self.steps // self.every - self.step // self.every if self.every else 0
        return max(0, self.steps - self.step) * typical + max(0, checks) * (_median(self._check_seconds) or 0.0)


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None
