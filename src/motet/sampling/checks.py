"""Checks of options that several samplers share.

>>> print(*positive(temperature=0.0, rate=0.5))
temperature = 0.0
    must be a positive number
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from motet.errors import Problem, RecipeError, nearest

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["named_task", "one_per_task", "positive", "require", "share"]


def require(problems: Iterable[Problem]) -> None:
    """Refuse options with problems.

    Raises:
        RecipeError: there are some.
    """
    found = list(problems)
    if found:
        raise RecipeError(found)


def positive(**options: float) -> Iterator[Problem]:
    """Options that are not finite and above 0."""
    for name, value in options.items():
        if not 0 < value < math.inf:
            yield Problem(name, "must be a positive number", str(value))


def share(**options: float) -> Iterator[Problem]:
    """Options that are not above 0 and at most 1."""
    for name, value in options.items():
        if not 0 < value <= 1:
            yield Problem(name, "must be above 0 and at most 1", str(value))


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
