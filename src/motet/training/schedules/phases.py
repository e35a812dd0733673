"""One set of tasks after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from motet.balancing.base import Facts
from motet.errors import Problem, require
from motet.registry import register
from motet.training.schedules.base import Moment, Schedule, Scheduler
from motet.training.schedules.orders import known

__all__ = ["Phase", "PhaseScheduler", "Phases", "wrong_length"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Some tasks for some time.

    Args:
        tasks: those that take part, by name.
        steps: how long, in logical steps.
        epochs: or until each of the tasks has made so many passes over its own training rows in this phase.

    Example:
        >>> Phase(tasks=("tags", "chunks"), epochs=1)
        Phase(tasks=('tags', 'chunks'), steps=None, epochs=1)
    """

    tasks: tuple[str, ...]
    steps: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        problems = [] if self.tasks else [Problem("tasks", "must name at least one task")]
        require([*problems, *wrong_length(self.steps, self.epochs)])


def wrong_length(
    steps: int | None, epochs: float | None, prefix: str = "", *, needed: bool = False
) -> Iterable[Problem]:
    """What is wrong with a length in steps or in epochs, given under names with a prefix."""
    by_steps, by_epochs = f"{prefix}steps", f"{prefix}epochs"
    if steps is not None and steps < 1:
        yield Problem(by_steps, "must be at least 1", str(steps))
    if epochs is not None and not 0 < epochs < float("inf"):
        yield Problem(by_epochs, "must be a positive number", str(epochs))
    if steps is not None and epochs is not None:
        yield Problem(by_epochs, f"cannot be given together with {by_steps}", str(epochs), "Leave one of them out.")
    if needed and steps is None and epochs is None:
        yield Problem(by_steps, "is missing", remedy=f"Give {by_steps} or {by_epochs}.")


@register("schedule", "phases")
@dataclass(frozen=True, kw_only=True)
class Phases(Schedule):
    """One set of tasks after another, in order of difficulty for instance.

    A phase is over when its length is, or when all of its tasks have converged. A converged task is held in those
    phases that name it. The run ends when all tasks of the phases that are left have converged.

    Source: Isonuma et al. 2017, "Extractive Summarization Using Multi-Task Learning with Document Classification";
    Nishino et al. 2019, "Keeping Consistency of Sentence Generation and Document Classification with Multi-Task
    Learning": tasks of increasing difficulty.

    Args:
        phases: first to last, each with `tasks` and either `steps` or `epochs`. The last has no length: it goes on to
            the end.

    Relations:
        `PretrainFinetune` and `PrimaryFirst` are two phases. `Curriculum` goes by scores, `Sequential` by convergence.

    Example:
        >>> from motet.training.schedules import Moment, Phase
        >>> schedule = Phases(phases=(Phase(tasks=("easy",), steps=100), Phase(tasks=("easy", "hard"))))
        >>> scheduler = schedule.build({}, seed=0)
        >>> scheduler.live(Moment(["easy", "hard"], step=99)), scheduler.live(Moment(["easy", "hard"], step=100))
        (('easy',), ('easy', 'hard'))
    """

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        if not self.phases:
            yield Problem("phases", "must hold at least one phase")
            return
        for at, phase in enumerate(self.phases[:-1]):
            if phase.steps is None and phase.epochs is None:
                yield Problem(f"phases.{at}.steps", "is missing", remedy="Give steps or epochs.")
        for length in ("steps", "epochs"):
            found = getattr(self.phases[-1], length)
            if found is not None:
                place = f"phases.{len(self.phases) - 1}.{length}"
                yield Problem(place, "cannot be given: the last phase goes on to the end", str(found), "Leave it out.")

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        return PhaseScheduler(self.phases)

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        for at, phase in enumerate(self.phases):
            yield from known(f"phases.{at}.tasks", phase.tasks, tasks)
        named = {task for phase in self.phases for task in phase.tasks}
        for task in tasks:
            if task not in named:
                yield Problem("schedule.phases", f"leave out `{task}`, which would never learn", remedy="Name it.")


class PhaseScheduler(Scheduler):
    """Goes through phases.

    Args:
        phases: first to last; the last has no length.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self._phases = phases
        self._at = 0
        self._step = 0
        self._epochs: dict[str, float] = {}

    def live(self, now: Moment) -> tuple[str, ...]:
        return tuple(task for task in now.tasks if task in self._phases[self._due(now)].tasks)

    def ahead(self, now: Moment) -> tuple[str, ...]:
        left = self._phases[self._due(now) :]
        return tuple(task for task in now.tasks if any(task in phase.tasks for phase in left))

    def begin(self, now: Moment) -> None:
        due = self._due(now)
        if due != self._at:
            self._at, self._step, self._epochs = due, now.step, dict(now.epochs)

    def _due(self, now: Moment) -> int:
        """The phase of the next step."""
        last = len(self._phases) - 1
        return next((at for at in range(self._at, last) if not self._over(at, now)), last)

    def _over(self, at: int, now: Moment) -> bool:
        phase = self._phases[at]
        learning = [task for task in now.learning if task in phase.tasks]
        if not learning:
            return True
        if at > self._at:  # it would only begin
            return False
        if phase.steps is not None:
            return now.step - self._step >= phase.steps
        assert phase.epochs is not None, "only the last phase has no length"
        return all(now.passes(task) - self._epochs.get(task, 0.0) >= phase.epochs for task in learning)

    def state(self) -> dict[str, Any]:
        return {"phase": self._at, "step": self._step, "epochs": dict(self._epochs)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._at, self._step, self._epochs = state["phase"], state["step"], dict(state["epochs"])
