"""Checks of options that name tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from motet.errors import Problem, nearest

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["named_task", "one_per_task"]


def one_per_task(option: str, given: Mapping[str, float], tasks: Sequence[Task]) -> Iterator[Problem]:
    """Tasks that an option leaves out, and names in it that no task has."""
    known = [task.name for task in tasks]
    for name in given:
        if name not in known:
            yield Problem(f"sampler.{option}.{name}", f"names no task. {nearest(name, known)}")
    for name in known:
        if name not in given:
            yield Problem(f"sampler.{option}.{name}", "is missing")


def named_task(option: str, name: str, tasks: Sequence[Task]) -> Iterator[Problem]:
    """A name in an option that no task has; an empty one stands for the first task."""
    known = [task.name for task in tasks]
    if name and name not in known:
        yield Problem(f"sampler.{option}", f"names no task. {nearest(name, known)}", name)
