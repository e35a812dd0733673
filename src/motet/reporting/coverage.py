"""Who labels what: the coverage of a plan as lines of counts, for the console and the report alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from motet.reporting.numerals import MISSING, count, percent, plural
from motet.reporting.plain import listing, mapping, text, whole
from motet.runs import Event

__all__ = ["Cell", "Labels", "Line", "shared_labels"]

PATTERNS = {
    "full": "every row has the labels of all tasks",
    "one": "every row has the label of one task",
    "random": "rows have the labels of different tasks",
    "semi": "some rows have no label",
}


@dataclass(frozen=True)
class Cell:
    """Some rows of a split, and how many there are in all."""

    rows: int | None
    of: int | None

    @property
    def share(self) -> str:
        """The share of the split; empty where there are no rows, or their number is not known."""
        return percent(self.rows / self.of, 0 if self.rows == self.of else 1) if self.rows and self.of else ""

    def __str__(self) -> str:
        return f"{count(self.rows)} ({self.share})" if self.share else count(self.rows)


@dataclass(frozen=True)
class Line:
    """The rows that a task labels, or that have so many labels; `sums` for the latter, which are no task's."""

    name: str
    cells: list[Cell]
    sums: bool = False


@dataclass(frozen=True)
class Labels:
    """The labels of one source: a line a task, then how many rows have how many labels, then all rows."""

    source: str
    words: str
    splits: list[str]
    lines: list[Line]


def shared_labels(plan: Event) -> list[Labels]:
    """The sources of a plan that several tasks read."""
    found = map(mapping, listing(plan.get("coverage")))
    return [_labels(source) for source in found if len(listing(source.get("tasks"))) > 1]


def _labels(source: Mapping[str, Any]) -> Labels:
    splits = {str(name): mapping(of) for name, of in mapping(source.get("splits")).items()}
    lines = [*_tasks(source, splits), *_carrying(splits), _all(splits)]
    words = PATTERNS.get(text(source.get("pattern")), "")
    return Labels(text(source.get("source")) or MISSING, words, list(splits), lines)


def _tasks(source: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]) -> Iterator[Line]:
    for task in map(text, listing(source.get("tasks"))):
        labelled = (mapping(of.get("labelled")).get(task) for of in splits.values())
        yield Line(task, [_cell(rows, of) for rows, of in zip(labelled, splits.values(), strict=True)])


def _carrying(splits: Mapping[str, Mapping[str, Any]]) -> Iterator[Line]:
    """Rows with no label, one, two, ...; nothing where all rows have equally many."""
    by_number = enumerate(zip_longest(*(map(whole, listing(of.get("carrying"))) for of in splits.values())))
    seen = {number: rows for number, rows in by_number if any(rows)}
    for number, rows in seen.items() if len(seen) > 1 else ():
        cells = [_cell(found, of) for found, of in zip(rows, splits.values(), strict=True)]
        yield Line(plural(number, "label") if number else "no label", cells, sums=True)


def _all(splits: Mapping[str, Mapping[str, Any]]) -> Line:
    return Line("all rows", [Cell(whole(of.get("rows")), None) for of in splits.values()], sums=True)


def _cell(rows: object, split: Mapping[str, Any]) -> Cell:
    return Cell(whole(rows), whole(split.get("rows")))
