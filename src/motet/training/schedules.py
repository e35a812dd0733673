"""Which tasks are live when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from motet.errors import Problem
from motet.registry import register

__all__ = ["Joint", "Schedule", "Sequential"]


class Schedule(ABC):
    """Says which tasks take part in the next step."""

    @abstractmethod
    def live(self, tasks: Sequence[str], settled: Collection[str], step: int) -> tuple[str, ...]:
        """The tasks that take part.

        Args:
            tasks: all of them, in the order of the recipe.
            settled: those that have converged.
            step: logical step.
        """

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        """What does not fit the tasks."""
        return ()


@register("schedule", "joint")
@dataclass(frozen=True, kw_only=True)
class Joint(Schedule):
    """All tasks from the first step to the last.

    Relations:
        `Sequential` adds one task at a time.

    Example:
        >>> Joint().live(["a", "b"], settled=(), step=0)
        ('a', 'b')
    """

    def live(self, tasks: Sequence[str], settled: Collection[str], step: int) -> tuple[str, ...]:
        return tuple(tasks)


@register("schedule", "sequential")
@dataclass(frozen=True, kw_only=True)
class Sequential(Schedule):
    """One task after the other: when the newest has converged, the next joins those that are held.

    Source: Lu et al. 2022, "Asynchronous Convergence in Multi-Task Learning via Knowledge Distillation from Converged
    Tasks", the sequential setting.

    Args:
        order: task names, first to last; by default the order of the recipe.

    Relations:
        `Joint` starts with all of them. With one task both are single-task training with early stopping.

    Example:
        >>> Sequential(order=("b", "a")).live(["a", "b"], settled=(), step=0)
        ('b',)
        >>> Sequential(order=("b", "a")).live(["a", "b"], settled=("b",), step=500)
        ('b', 'a')
    """

    order: tuple[str, ...] = ()

    def live(self, tasks: Sequence[str], settled: Collection[str], step: int) -> tuple[str, ...]:
        order = self.order or tuple(tasks)
        newest = next((at for at, task in enumerate(order) if task not in settled), len(order))
        return order[: newest + 1]

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        if self.order and sorted(self.order) != sorted(tasks):
            remedy = f"There are: {', '.join(tasks)}."
            yield Problem("schedule.order", "must name every task once", ", ".join(self.order), remedy)
