"""What every schedule is: the rule that says which tasks take part in the next step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from motet.balancing.base import Facts
from motet.errors import Problem

__all__ = ["Moment", "Schedule", "Scheduler", "Timetable"]


@dataclass(frozen=True)
class Moment:
    """How far training is before a step.

    Args:
        tasks: those that may take part, in the order of the recipe: all that are not dropped.
        settled: those that have converged, dropped or not.
        step: logical; the first is 0.
        epochs: by task, passes over its own training rows; 0 for those that are not named.
    """

    tasks: Sequence[str]
    settled: Collection[str] = ()
    step: int = 0
    epochs: Mapping[str, float] = field(default_factory=dict)

    @property
    def learning(self) -> tuple[str, ...]:
        """The tasks that have not converged."""
        return tuple(task for task in self.tasks if task not in self.settled)

    @property
    def held(self) -> tuple[str, ...]:
        """The tasks that have converged and may still take part: held, or going on with true labels."""
        return tuple(task for task in self.tasks if task in self.settled)

    def passes(self, task: str) -> float:
        """Passes over the training rows of a task so far."""
        return self.epochs.get(task, 0.0)


class Scheduler(ABC):
    """A schedule at work: saved with every snapshot, and equal in all processes."""

    @abstractmethod
    def live(self, now: Moment) -> tuple[str, ...]:
        """The tasks that take part in the next step: at least one of `now.tasks`, as long as some are ahead."""

    def ahead(self, now: Moment) -> tuple[str, ...]:
        """The tasks that take part in the next step or in a later one; the run ends when all of them have converged."""
        return tuple(now.tasks)

    def rate(self, now: Moment) -> float:
        """A factor on the learning rate of the next step."""
        return 1.0

    @property
    def refreshes(self) -> bool:
        """Whether held tasks get soft labels anew when another task has converged."""
        return False

    def begin(self, now: Moment) -> None:  # noqa: B027  (most have nothing to hear)
        """Hear that a step is about to be taken."""

    def observe(self, scores: Mapping[str, float], now: Moment) -> None:  # noqa: B027
        """Hear the headline validation scores of all tasks, after each check.

        Args:
            scores: higher is better; those that should be low come with their sign turned.
            now: the convergence of this check is not in it yet.
        """

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Go on from saved data."""


class Schedule(ABC):
    """The recipe of a scheduler."""

    @abstractmethod
    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        """A scheduler for these tasks: all of the experiment, also those that join later."""

    def resolve(self, tasks: Mapping[str, Facts], seed: int) -> Schedule:
        """The same with everything filled in that the data or the seed decide, to be shown in the plan."""
        return self

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        """What is wrong with the options, given the names of the tasks."""
        return ()

    def waits_for(self, task: str) -> bool:
        """Whether other tasks wait until this one has converged."""
        return False


class Timetable(Schedule, Scheduler):
    """A schedule that remembers nothing: it is its own scheduler."""

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        return self
