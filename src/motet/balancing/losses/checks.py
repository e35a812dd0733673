"""Checks of options that many rules share.

>>> print(*positive(temperature=0.0, every=5))
temperature = 0.0
    must be a positive number
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from motet.errors import Problem, RecipeError, nearest

__all__ = ["at_least", "no_strangers", "positive", "require"]


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


def at_least(least: float, **options: float) -> Iterator[Problem]:
    """Options that are not finite or below a bound."""
    for name, value in options.items():
        if not least <= value < math.inf:
            yield Problem(name, f"must be a number of at least {least}", str(value))


def no_strangers(option: str, named: Iterable[str], tasks: Mapping[str, object] | Iterable[str]) -> Iterator[Problem]:
    """Names in an option that no task has."""
    known = list(tasks)
    for name in named:
        if name not in known:
            yield Problem(f"balance.{option}.{name}", f"names no task. {nearest(name, known)}")
