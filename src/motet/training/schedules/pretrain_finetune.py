"""Auxiliary tasks first, then the one that counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from motet.balancing.base import Facts
from motet.errors import Problem, require
from motet.registry import register
from motet.training.schedules.base import Schedule, Scheduler
from motet.training.schedules.orders import known
from motet.training.schedules.phases import Phase, PhaseScheduler, wrong_length

__all__ = ["PretrainFinetune"]


@register("schedule", "pretrain_finetune")
@dataclass(frozen=True, kw_only=True)
class PretrainFinetune(Schedule):
    """The auxiliary tasks for a while, then the primary one, alone or together with them.

    The second phase begins early when all auxiliary tasks have converged. Auxiliary tasks that take no part in it are
    let go, held ones too.

    Source: Lamprinidis et al. 2018, "Predicting News Headline Popularity with Syntactic and Semantic Knowledge Using
    Multi-Task Learning".

    Args:
        primary: the task that counts.
        first_steps: length of the first phase, in logical steps.
        first_epochs: or until each auxiliary task has made so many passes over its own training rows.
        keep_auxiliaries: whether they go on beside the primary task.

    Relations:
        Two `Phases`. `PrimaryFirst` begins with the other.

    Example:
        >>> from motet.balancing import Facts
        >>> from motet.training.schedules import Moment
        >>> names = ["a", "b", "c"]
        >>> scheduler = PretrainFinetune(primary="c", first_steps=50).build(dict.fromkeys(names, Facts()), seed=0)
        >>> scheduler.live(Moment(names, step=49)), scheduler.live(Moment(names, step=50))
        (('a', 'b'), ('c',))
    """

    primary: str
    first_steps: int | None = None
    first_epochs: float | None = None
    keep_auxiliaries: bool = False

    def __post_init__(self) -> None:
        require(wrong_length(self.first_steps, self.first_epochs, "first_", needed=True))

    def build(self, tasks: Mapping[str, Facts], seed: int) -> Scheduler:
        auxiliaries = tuple(task for task in tasks if task != self.primary)
        second = tuple(tasks) if self.keep_auxiliaries else (self.primary,)
        first = Phase(tasks=auxiliaries, steps=self.first_steps, epochs=self.first_epochs)
        return PhaseScheduler([first, Phase(tasks=second)])

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from known("primary", [self.primary], tasks)
        if tuple(tasks) == (self.primary,):
            yield Problem("schedule", "needs a task besides the primary one", "pretrain_finetune", "Use `joint`.")
