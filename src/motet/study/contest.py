"""Systems that may be compared: the same tasks, the same test rows, the same metrics, and one of them the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import mean

from motet.errors import Problem, RunError
from motet.reporting.study_view import Task
from motet.study.results import System

__all__ = ["Contest", "contest_of"]

_IN_UNITS = ("rmse", "mae", "perplexity")  # of the data, or of nothing; all other scores lie on a scale up to 1
Systems = Mapping[str, Mapping[int, System]]


@dataclass(frozen=True)
class Contest:
    """What is compared with what.

    Args:
        systems: by variant and seed, the baseline first.
        base: the baseline.
        tasks: those that every system has.
    """

    systems: Systems
    base: str
    tasks: tuple[Task, ...]

    @property
    def rivals(self) -> list[str]:
        """All variants but the baseline."""
        return [name for name in self.systems if name != self.base]

    @property
    def averaged(self) -> tuple[Task, ...]:
        """The tasks that a mean can be taken of."""
        return tuple(task for task in self.tasks if task.averaged)

    def shared(self, variant: str) -> list[int]:
        """The seeds that a variant and the baseline have both."""
        return [seed for seed in sorted(self.systems[variant]) if seed in self.systems[self.base]]

    def score(self, variant: str, seed: int, task: Task) -> float:
        """The headline score on test."""
        return self.systems[variant][seed].tested[task.name].score

    def mean_score(self, variant: str, seed: int) -> float:
        """The mean over the tasks that have one."""
        return mean(self.score(variant, seed, task) for task in self.averaged)

    def differences(self, variant: str) -> Iterator[float]:
        """The gain of every pair of a task and a seed."""
        for task in self.tasks:
            for seed in self.shared(variant):
                yield task.sign * (self.score(variant, seed, task) - self.score(self.base, seed, task))

    def means(self, variant: str, seeds: list[int]) -> dict[str, float]:
        """The score of every task, averaged over some seeds."""
        return {task.name: mean(self.score(variant, seed, task) for seed in seeds) for task in self.tasks}


def contest_of(systems: Systems, base: str) -> Contest:
    """Bring systems together.

    Raises:
        RunError: they were scored on other test rows or by other metrics, or have no task in common.
    """
    ordered = {base: systems[base], **systems}
    _require_same_tests(ordered)
    every = [system.tested for of in ordered.values() for system in of.values()]
    shared = [name for name in every[0] if all(name in tested for tested in every)]
    if not shared:
        raise RunError("the runs have no task in common: there is nothing to compare.")
    first = ((name, every[0][name]) for name in shared)
    tasks = (
        Task(name, of.metric, of.higher_is_better, of.rows, share=of.metric not in _IN_UNITS) for name, of in first
    )
    return Contest(ordered, base, tuple(tasks))


def _require_same_tests(systems: Systems) -> None:
    first: dict[str, tuple[System, str, str]] = {}
    problems = []
    for system in (system for of in systems.values() for system in of.values()):
        for name, tested in system.tested.items():
            other, digest, metric = first.setdefault(name, (system, tested.digest, tested.metric))
            if tested.digest != digest:
                rule = f"has other test rows in {_named(system, name)} than in {_named(other, name)}"
                problems.append(Problem(name, rule, remedy=_why(system, other, name)))
            elif tested.metric != metric:
                rule = f"is scored by {tested.metric} in {_named(system, name)}, by {metric} in {_named(other, name)}"
                problems.append(Problem(name, rule, remedy=f"Set tasks.{name}.metric to one of them."))
    if problems:
        raise RunError(problems, heading="Only scores on the same test rows can be compared. This comparison")


def _named(system: System, task: str) -> str:
    return next(result.run.path.name for result in system.results if task in result.tested)


def _why(system: System, other: System, task: str) -> str:
    prints = [_fingerprint(of, task) for of in (system, other)]
    if prints[0] != prints[1]:
        return f"Their data has the fingerprints {prints[0]} and {prints[1]}."
    return "They read other columns or other rows of the same data."


def _fingerprint(system: System, task: str) -> str:
    found = (result.manifest.get("data", {}).get(task) for result in system.results)
    return str(next(filter(None, found), "unknown"))[:12]
