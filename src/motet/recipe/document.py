"""Plain data that still knows its lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from motet.errors import Problem

__all__ = ["Document"]


@dataclass
class Document:
    """Plain data, where its keys stand, and what is wrong with it before anybody asks for its meaning.

    Args:
        data: mappings with text keys, lists and scalars.
        lines: the line of every dotted name; None for what came from the command line.
        problems: keys given twice and the like.
    """

    data: Any
    lines: dict[str, int | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, name: str) -> int | None:
        """The line of a dotted name, or of the nearest name around it."""
        while name and name not in self.lines:
            name = name.rpartition(".")[0]
        return self.lines.get(name)

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems with their lines, in the order of the file."""
        found = [problem if problem.line else replace(problem, line=self.line(problem.name)) for problem in problems]
        return sorted(found, key=lambda problem: problem.line or len(self.lines) + 1)
