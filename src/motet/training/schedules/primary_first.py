"""The task that counts first, then all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from motet.balancing.base import Facts
from motet.errors import Problem, require
from motet.registry import register
from motet.training.schedules.base import Schedule, Scheduler
from motet.training.schedules.orders import known
from motet.training.schedules.phases import Phase, PhaseScheduler, wrong_length

__all__ = ["PrimaryFirst"]


@register("schedule", "primary_first")
@dataclass(frozen=True, kw_only=True)
class PrimaryFirst(Schedule):
    """The primary task alone for a while, then all tasks.

    The others join early when the primary task has converged; it is held beside them.

    Source: Chen, Zhang and Yang 2024, "Multi-Task Learning in Natural Language Processing: An Overview", under task
    scheduling.

    Args:
        primary: the task that begins.
        first_steps: how long it is alone, in logical steps.
        first_epochs: or how many passes over its own training rows.

    Relations:
        Two `Phases`. `PretrainFinetune` begins with the others.

    Example:
        >>> from motet.balancing import Facts
        >>> from motet.training.schedules import Moment
        >>> scheduler = PrimaryFirst(primary="b", first_epochs=2).build({"a": Facts(), "b": Facts()}, seed=0)
        >>> scheduler.live(Moment(["a", "b"], epochs={"b": 1.9})), scheduler.live(Moment(["a", "b"], epochs={"b": 2}))
        (('b',), ('a', 'b'))
    """

    primary: str
    first_steps: int | None = None
    first_epochs: float | None = None

    def __post_init__(self) -> None:
        require(wrong_length(self.first_steps, self.first_epochs, "first_", needed=True))

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        alone = Phase(tasks=(self.primary,), steps=self.first_steps, epochs=self.first_epochs)
        return PhaseScheduler([alone, Phase(tasks=tuple(tasks))])

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from known("primary", [self.primary], tasks)
