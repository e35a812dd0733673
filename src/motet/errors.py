"""What goes wrong, told to the person who can mend it.

    UserError             a mistake of the user: printed as a message, without traceback
    ├── RecipeError       in a recipe, or in the arguments that a recipe spells
    ├── DataError         in a data set
    └── RunError          in a run folder, a checkpoint or a model folder

Everything else is a fault of motet and keeps its traceback.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

__all__ = [
    "DataError",
    "Problem",
    "RecipeError",
    "RunError",
    "UserError",
    "at_least",
    "below_one",
    "nearest",
    "one_of",
    "positive",
    "require",
    "share",
]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, which rule, what was found, what to do.

    Example:
        >>> print(Problem("training.steps", "must be at least 1", found="0", remedy="Try 1000."))
        training.steps = 0
            must be at least 1. Try 1000.
    """

    name: str
    rule: str
    found: str = ""
    remedy: str = ""
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}  " if self.line is not None else ""
        found = f" = {self.found}" if self.found else ""
        rule = self.rule.rstrip(".")
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{place}{self.name}{found}\n    {rule}{remedy}"

    def under(self, parent: str) -> Problem:
        """The same problem, seen from one level further out."""
        return replace(self, name=f"{parent}.{self.name}" if self.name else parent)


class UserError(ValueError):
    """One or more problems that the user can mend.

    It is a `ValueError`, so code that guards a call with ``except ValueError`` keeps working.

    Args:
        problems: the problems, or one sentence.
        heading: what they are about ("recipe.yaml"); counts the problems in the message.

    Example:
        >>> raise UserError([Problem("steps", "must be at least 1", found="0")])
        Traceback (most recent call last):
        motet.errors.UserError: steps = 0
            must be at least 1
    """

    def __init__(self, problems: str | Problem | Iterable[Problem], heading: str = "") -> None:
        if isinstance(problems, str):
            self.problems: tuple[Problem, ...] = ()
            super().__init__(problems)
            return
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        count = len(self.problems)
        head = f"{heading} has {count} problem{'' if count == 1 else 's'}\n\n" if heading else ""
        body = "\n".join(map(str, self.problems))
        super().__init__(head + body)


class RecipeError(UserError):
    """A recipe, or the arguments it spells, cannot be used."""


class DataError(UserError):
    """A data set cannot be used."""


class RunError(UserError):
    """A run folder, checkpoint or model folder cannot be used."""


def nearest(name: str, options: Iterable[str], remedy: str = "") -> str:
    """A sentence that names the closest option, or lists what there is.

    Example:
        >>> nearest("lable", ["label", "text"])
        'Did you mean `label`?'
        >>> nearest("zzz", ["label", "text"])
        'There are: label, text.'
    """
    known: Sequence[str] = sorted(map(str, options))
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{close[0]}`?"
    if not known:
        return remedy or "There are none."
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    return f"There are: {shown}."


def require(problems: Iterable[Problem]) -> None:
    """Refuse options with problems.

    Raises:
        RecipeError: there are some.
    """
    found = list(problems)
    if found:
        raise RecipeError(found)


def positive(**options: float) -> Iterator[Problem]:
    """Options that are not finite and above 0.

    Example:
        >>> print(*positive(temperature=0.0, every=5))
        temperature = 0.0
            must be a positive number
    """
    for name, value in options.items():
        if not 0 < value < math.inf:
            yield Problem(name, "must be a positive number", str(value))


def at_least(least: float, **options: float) -> Iterator[Problem]:
    """Options that are not finite or below a bound."""
    for name, value in options.items():
        if not least <= value < math.inf:
            yield Problem(name, f"must be a number of at least {least}", str(value))


def share(**options: float) -> Iterator[Problem]:
    """Options that are not above 0 and at most 1."""
    for name, value in options.items():
        if not 0 < value <= 1:
            yield Problem(name, "must be above 0 and at most 1", str(value))


def below_one(**options: float) -> Iterator[Problem]:
    """Options that are not at least 0 and below 1."""
    for name, value in options.items():
        if not 0 <= value < 1:
            yield Problem(name, "must be at least 0 and below 1", str(value))


def one_of(words: Any, **options: str) -> Iterator[Problem]:
    """Options that are none of the words of a `Literal`."""
    for name, value in options.items():
        if value not in get_args(words):
            yield Problem(name, f"is not known. {nearest(value, get_args(words))}", value)
