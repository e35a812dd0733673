"""When a task has converged, and where its best weights are.

Source: Lu et al. 2022, "Asynchronous Convergence in Multi-Task Learning via Knowledge Distillation from Converged
Tasks" (NAACL Industry Track). The patience there is counted in checks alone; here a task must also have seen enough
of its own data, because a noisy plateau early on otherwise passes for convergence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from motet.errors import Problem, RecipeError, nearest, require
from motet.registry import register
from motet.training.responses import Distill, Response

__all__ = ["PRESETS", "Check", "Convergence", "Never", "Patience", "Tracker"]

Rewind = Literal["full", "weights", "none"]
Auto = Literal["auto"]


class Convergence(ABC):
    """Decides when a task has converged and what happens then."""

    @abstractmethod
    def of(self, task: str) -> Patience | None:
        """The rule for one task; None if it never converges."""

    @abstractmethod
    def problems(self, tasks: Mapping[str, Sequence[str]]) -> Iterable[Problem]:
        """What does not fit the tasks, given with the metrics they have."""


@register("convergence", "none")
@dataclass(frozen=True, kw_only=True)
class Never(Convergence):
    """No task is ever called converged: plain joint training. Peaks are still recorded.

    Example:
        >>> Never().of("any") is None
        True
    """

    def of(self, task: str) -> Patience | None:
        return None

    def problems(self, tasks: Mapping[str, Sequence[str]]) -> Iterable[Problem]:
        return ()


@register("convergence", "patience")
@dataclass(frozen=True, kw_only=True)
class Patience(Convergence):
    """A task has converged when its validation score has not made progress for a while.

    Args:
        checks: so many checks without progress.
        epochs: and so many passes over its own training rows without progress.
        min_epochs: and not before so many passes over its own training rows in all.
        min_delta: progress is a score better by more than this; `auto` is a quarter of the score's standard error.
            (Checks share their validation rows, so they differ by far less than independent samples would.)
        smooth: scores are judged by the mean over the last so many checks, so that one lucky check is no peak.
        beyond_constant: a task that was never better than the best answer that ignores the text, by more than the
            standard error of its score, has not begun to learn: it does not converge, and its patience is counted from
            the first check at which it was. For answer shapes that have such an answer.
        then: what happens to a converged task.
        rewind: what the model goes back to when a task converges: `full` restores everything as it was at the peak,
            `weights` the weights alone, `none` goes on from where it is and distils from the peak.
        cross_event_rewind: let a rewind reach behind an earlier one. The tasks switched in between keep their soft
            labels and are taught again.
        reopen: how many times a converged task may go back to learning, when it fell below its peak by more than
            `tolerance`, or when all tasks have converged while the budget would still give it `min_epochs`.
        tolerance: how far a converged task may fall; `auto` is two standard errors.
        refresh_teacher: a held task that rises above its peak gets new soft labels.
        monitor: the metric to judge by; by default the headline metric of the task. `loss` is that of the true labels,
            for answer shapes that keep their logits; it often turns before the scores do.
        tasks: other settings for single tasks, by name.

    Relations:
        `Never` is plain joint training; ``PRESETS["paper"]`` the literal form of the source.

    Example:
        >>> rule = Patience(checks=3, tasks={"rating": {"checks": 6}})
        >>> rule.of("rating").checks, rule.of("topic").checks
        (6, 3)
    """

    checks: int = 3
    epochs: float = 0.5
    min_epochs: float = 1.0
    min_delta: float | Auto = "auto"
    smooth: int = 3
    beyond_constant: bool = True
    then: Response = field(default_factory=Distill)
    rewind: Rewind = "none"
    cross_event_rewind: bool = False
    reopen: int = 0
    tolerance: float | Auto = "auto"
    refresh_teacher: bool = False
    monitor: str = ""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        for name, least in (("checks", 1), ("smooth", 1), ("epochs", 0), ("min_epochs", 0), ("reopen", 0)):
            if not getattr(self, name) >= least:
                yield Problem(name, f"must be at least {least}", str(getattr(self, name)))
        for name in ("min_delta", "tolerance"):
            value = getattr(self, name)
            if value != "auto" and not value >= 0:
                yield Problem(name, "must be at least 0, or `auto`", str(value))
        known = [f.name for f in fields(self) if f.name not in ("tasks", "rewind", "cross_event_rewind")]
        for task, changes in self.tasks.items():
            for key in changes:
                if key not in known:
                    yield Problem(f"tasks.{task}.{key}", f"cannot be set for a single task. {nearest(key, known)}")
            try:
                replace(self, tasks={}, **{key: value for key, value in changes.items() if key in known})
            except RecipeError as error:
                yield from (problem.under(f"tasks.{task}") for problem in error.problems if problem.name in changes)

    def of(self, task: str) -> Patience | None:
        return replace(self, tasks={}, **self.tasks.get(task, {}))

    def problems(self, tasks: Mapping[str, Sequence[str]]) -> Iterable[Problem]:
        for name in self.tasks:
            if name not in tasks:
                yield Problem(f"convergence.tasks.{name}", f"names no task. {nearest(name, tasks)}")
        for name, metrics in tasks.items():
            monitor = self.tasks.get(name, {}).get("monitor", self.monitor)
            if monitor and monitor not in metrics:
                yield Problem(
                    f"convergence.monitor of {name}", f"is no metric of the task. {nearest(monitor, metrics)}"
                )

    def delta(self, se: float) -> float:
        """What counts as progress, given the standard error of a score."""
        if self.min_delta != "auto":
            return float(self.min_delta)
        return 0.25 * se if np.isfinite(se) else 0.0

    def fall(self, se: float) -> float:
        """How far a held task may fall, given the standard error of its score."""
        if self.tolerance != "auto":
            return float(self.tolerance)
        return 2.0 * se if np.isfinite(se) else 0.0


PRESETS: dict[str, Patience] = {
    "paper": Patience(epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False, rewind="full"),
}


@dataclass(frozen=True)
class Check:
    """One validation score of one task.

    Args:
        step: physical step.
        logical: step on the surviving trajectory.
        score: higher is better; the sign of a metric that should be low is turned.
        se: its standard error.
        epochs: passes over the task's own training rows so far.
        snapshot: where the weights of this moment are.
    """

    step: int
    logical: int
    score: float
    se: float
    epochs: float
    snapshot: str


@dataclass
class Tracker:
    """The surviving checks of one task, from which its peak and its patience follow.

    Args:
        rule: when to call it converged; None never.
        baseline: the score of a constant answer, higher is better; None where there is none.
        checks: oldest first.
        floor: logical step before which no peak may lie, see `rewind_to`.
        since: logical step from which patience is counted.
        opened: own epochs at which the task began to learn.

    Example:
        >>> tracker = Tracker(Patience(checks=2, epochs=0, min_epochs=0, min_delta=0, smooth=1))
        >>> for step, score in enumerate([0.5, 0.7, 0.6, 0.6]):
        ...     tracker.observe(Check(step, step, score, 0.01, step / 2, f"{step}"))
        >>> tracker.best.step, tracker.converged
        (1, True)
    """

    rule: Patience | None
    baseline: float | None = None
    checks: list[Check] = field(default_factory=list)
    floor: int = 0
    since: int = 0
    opened: float = 0.0

    def observe(self, check: Check) -> None:
        """Add a check."""
        self.checks.append(check)

    def smoothed(self, index: int = -1) -> float:
        """The running mean that ends with a check."""
        end = index % len(self.checks) + 1
        window = self.rule.smooth if self.rule else 1
        return float(np.mean([check.score for check in self.checks[max(0, end - window) : end]]))

    @property
    def best_index(self) -> int:
        """Where the running mean is highest, not before the floor; the earliest of equals."""
        return max(self._allowed, key=lambda i: (self.smoothed(i), -i))

    @property
    def _allowed(self) -> list[int]:
        """The checks that may be peaks."""
        return [i for i, check in enumerate(self.checks) if check.logical >= self.floor and check.snapshot]

    @property
    def best(self) -> Check:
        """The peak."""
        return self.checks[self.best_index]

    def bests(self, count: int) -> list[Check]:
        """The checks with the highest running means, best first; fewer where there are fewer."""
        return [self.checks[i] for i in sorted(self._allowed, key=lambda i: (-self.smoothed(i), i))[:count]]

    @property
    def peak(self) -> float:
        """The running mean at the peak."""
        return self.smoothed(self.best_index)

    @property
    def begun(self) -> Check | None:
        """The first check, not before the floor, that was better than a constant answer; None before there is one."""
        allowed = (i for i, check in enumerate(self.checks) if check.logical >= self.floor)
        return next((self.checks[i] for i in allowed if self._beyond_constant(i)), None)

    def _beyond_constant(self, index: int) -> bool:
        if self.baseline is None or (self.rule is not None and not self.rule.beyond_constant):
            return True
        se = self.checks[index].se
        return self.smoothed(index) > self.baseline + (se if np.isfinite(se) else 0.0)

    @property
    def converged(self) -> bool:
        """Whether patience has run out; never at the peak itself, however little it rose."""
        spent = self._spent
        return bool(spent) and all(have >= allowed for have, allowed in spent)

    @property
    def used(self) -> float:
        """The share of its patience that is used up, 0 to 1: by the measure of which most is left."""
        spent = self._spent
        return min(1.0, *(have / allowed for have, allowed in spent if allowed > 0)) if spent else 0.0

    @property
    def _spent(self) -> tuple[tuple[float, float], ...]:
        """By every measure of patience how much is used up, of how much; empty before the first and at the peak."""
        begun, rule = self.begun, self.rule
        if rule is None or begun is None or self.best is self.checks[-1]:
            return ()
        (stale, since), now = self._stale(begun), self.checks[-1]
        passes = ((now.epochs - since.epochs, rule.epochs), (now.epochs - self.opened, rule.min_epochs))
        return ((stale, rule.checks), *passes)

    def _stale(self, begun: Check) -> tuple[int, Check]:
        """Checks without progress, and the check at which progress was last made."""
        assert self.rule is not None
        start = max(self.since, self.floor, begun.logical)
        counted = [i for i, check in enumerate(self.checks) if check.logical >= start]
        last = counted[0]
        for i in counted[1:]:
            if self.smoothed(i) > self.smoothed(last) + self.rule.delta(self.checks[i].se):
                last = i
        return len(self.checks) - 1 - last, self.checks[last]

    def rewind_to(self, logical: int, *, floor: bool, kept: Collection[str]) -> None:
        """Forget the checks on weights that were thrown away, and give full patience again.

        Args:
            logical: the step that was restored.
            floor: whether no later peak may lie before it.
            kept: the snapshots that still exist; only they can be peaks.
        """
        survivors = [check for check in self.checks if check.logical <= logical]
        self.checks = [check if check.snapshot in kept else replace(check, snapshot="") for check in survivors]
        self.floor = logical if floor else min(self.floor, logical)
        self.since = logical

    def reopen(self) -> None:
        """Begin to learn again from here: peak, patience and own epochs count anew."""
        self.since = self.floor = self.checks[-1].logical
        self.opened = self.checks[-1].epochs

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        checks = [asdict(check) for check in self.checks]
        return {"checks": checks, "floor": self.floor, "since": self.since, "opened": self.opened}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data."""
        self.checks = [Check(**check) for check in state["checks"]]
        self.floor, self.since, self.opened = int(state["floor"]), int(state["since"]), float(state["opened"])
