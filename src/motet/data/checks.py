"""What stops a run before its first step: every problem of a task with its table.

>>> from motet.data.sources import read
>>> from motet.tasks.classification import Classification
>>> rows = [{"text": "too loud", "lable": "bad"}, {"text": "fine", "lable": "good"}] * 10
>>> _, problems, _ = inspect(Classification("noise", source=rows), read(rows))
>>> print(problems[0])
tasks.noise.label = label
    is not a column of memory. Did you mean `lable`?
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from motet.data.cells import Cells, in_batches
from motet.data.columns import in_words
from motet.data.rows import column, groups, matching, owned, with_text
from motet.data.sources import Table
from motet.data.splits import ID
from motet.errors import DataError, Problem, nearest
from motet.tasks.base import Task

__all__ = ["Inspection", "inspect"]

_EXAMPLES = 5  # named for each kind of problem in a split
_LABELLED = ("train", "validation", "test")
Rows = Mapping[str, np.ndarray]


class Inspection(NamedTuple):
    """A resolved task, or None and what stops it; and what is worth knowing in any case."""

    task: Task | None
    problems: list[Problem]
    notes: list[str]


class _Barren(NamedTuple):
    """The first row of every example that teaches nothing, and how many examples there are."""

    first: list[int]
    examples: int

    @property
    def all(self) -> bool:
        return len(self.first) == self.examples


def inspect(task: Task, table: Table) -> Inspection:
    """Check a task against its table, and resolve it from its training answers.

    Rows without answer, of another `where` and without text are passed over; the last are counted in a note.
    """
    problems = [*_column_problems(task, table)]
    if problems:
        return Inspection(None, problems, [])
    labelled = [split for split in _LABELLED if task.target in _columns(table, split)]
    rows = {split: owned(task, table.splits[split]) for split in labelled}
    problems = [*_row_problems(task, table, rows)]
    notes = [*_notes(task, table)]
    problems = problems or _answer_problems(task, table, {"train": rows["train"]})
    if problems:
        return Inspection(None, problems, notes)
    try:
        resolved = task.resolve(Cells(column(table.splits["train"], task.target), rows["train"]))
    except DataError as error:
        return Inspection(None, list(error.problems), notes)
    problems = _answer_problems(resolved, table, rows)
    if task.group and not problems:
        barren = {split: _barren(resolved, table, split, positions) for split, positions in rows.items()}
        problems = [*_barren_problems(resolved, barren)]
        notes += _barren_notes(resolved, table, barren)
    return Inspection(None if problems else resolved, problems, notes)


def _columns(table: Table, split: str) -> list[str]:
    return list(table.splits[split].column_names) if split in table.splits else []


def _named(task: Task, name: str) -> str:
    """The place in a recipe that names a column."""
    for of_task in dataclasses.fields(task):
        value = getattr(task, of_task.name)
        if of_task.name in ("name", "source"):
            continue
        if value == name or (isinstance(value, tuple) and name in value) or f"{{{name}}}" in str(value):
            return f"tasks.{task.name}.{of_task.name}"
    return f"tasks.{task.name}.where.{name}" if name in task.where else f"tasks.{task.name}"


def _column_problems(task: Task, table: Table) -> Iterator[Problem]:
    for name in dict.fromkeys((*task.columns, *task.where)):
        missing = [split for split in _LABELLED if split in table.splits and name not in _columns(table, split)]
        if "train" in missing:
            known = [column for column in _columns(table, "train") if column != ID]
            yield Problem(_named(task, name), f"is not a column of {table.source.name}", name, nearest(name, known))
        elif missing and not (name == task.target and missing == ["test"]):
            yield Problem(_named(task, name), f"is a column of train, but not of {' and '.join(missing)}", name)
        elif name in table.mixed:
            yield Problem(_named(task, name), f"must hold one kind of value, but {table.mixed[name]}", name)
        elif name in task.inputs.columns:
            yield from _input_problems(task, table, name)


def _input_problems(task: Task, table: Table, name: str) -> Iterator[Problem]:
    train = table.splits["train"]
    found, wanted = in_words(column(train, name).type), "lists of text" if task.inputs.words else "text"
    if found == wanted:
        return
    values = column(train, name).slice(0, 3).to_pylist()
    examples = ", ".join(f"row {row} has {str(value)[:40]!r}" for row, value in enumerate(values, 1))
    yield Problem(_named(task, name), f"must hold {wanted}, found {found} ({examples})", name)


def _row_problems(task: Task, table: Table, rows: Rows) -> Iterator[Problem]:
    """Splits in which there is nothing for the task."""
    if "validation" not in rows:
        remedy = "Give its source a share to cut off train, such as `validation: 0.1`."
        yield Problem(f"tasks.{task.name}", f"{table.source.name} has no validation split", remedy=remedy)
    for split in ("train", "validation"):
        if split in rows and not len(rows[split]):
            yield _nothing(task, table, split)


def _nothing(task: Task, table: Table, split: str) -> Problem:
    dataset = table.splits[split]
    here = matching(dataset, task.where)
    if not here.any():
        for name, wanted in task.where.items():
            present = {value for value in Cells(column(dataset, name)) if value is not None}
            if wanted not in present:
                remedy = nearest(str(wanted), map(str, present))
                return Problem(_named(task, name), f"no row of {split} has this value", repr(wanted), remedy)
        return Problem(f"tasks.{task.name}.where", f"no row of {split} has all of these values", str(dict(task.where)))
    of = f"the {here.sum():,} rows of {split}" + (" that match `where`" if task.where else "")
    if not (here & with_text(dataset, task.inputs)).any():
        return Problem(_named(task, task.inputs.columns[0]), f"is empty in all {of}", task.inputs.columns[0])
    return Problem(_named(task, task.target), f"is missing in all {of}", task.target)


def _answer_problems(task: Task, table: Table, rows: Rows) -> list[Problem]:
    return [problem for split, positions in rows.items() for problem in _complaints(task, table, split, positions)]


def _complaints(task: Task, table: Table, split: str, positions: np.ndarray) -> Iterator[Problem]:
    """What the task says against the answers of a split, one problem for each kind of complaint."""
    kinds: dict[str, dict[str, tuple[int, int]]] = {}  # by kind and complaint, the first row and how many there are
    for position, complaint in _all_complaints(task, table, split, positions):
        of_kind = kinds.setdefault(re.sub(r"`[^`]*`|, found .*", "", complaint.split(". ")[0]), {})
        first, count = of_kind.get(complaint, (position, 0))
        of_kind[complaint] = first, count + 1
    for complaints in kinds.values():
        shown = sorted(complaints, key=_has_quoted_number)[:_EXAMPLES]
        examples = "; ".join(
            f"{complaint.rstrip('.')} ({_places(table, split, *complaints[complaint])})" for complaint in shown
        )
        more = f"; and {len(complaints) - len(shown)} more like these" if len(complaints) > len(shown) else ""
        count = sum(count for _, count in complaints.values())
        yield Problem(_named(task, task.target), f"{_counted(count)} of {split}: {examples}{more}", task.target)


def _all_complaints(task: Task, table: Table, split: str, positions: np.ndarray) -> Iterator[tuple[int, str]]:
    columns = [column(table.splits[split], name) for name in task.columns]
    for batch, parts in in_batches(columns, positions):
        for position, *cells in zip(batch.tolist(), *(part.to_pylist() for part in parts), strict=True):
            row = dict(zip(task.columns, cells, strict=True))
            complaint = task.complaint(row[task.target], row)
            if complaint:
                yield position, complaint


def _has_quoted_number(complaint: str) -> bool:
    """Whether it quotes a text that is a number: among 5,000 of these, the one `n/a` is what has to be seen."""
    return re.search(r"'-?[\d.]+'", complaint) is not None


def _places(table: Table, split: str, first: int, count: int) -> str:
    name = column(table.splits[split], ID)[first].as_py()
    place = f"row {first + 1}" if name == f"{split}:{first + 1}" else f"row {first + 1}, id {name}"
    return place if count == 1 else f"{place}, and {count - 1:,} more"


def _counted(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _notes(task: Task, table: Table) -> Iterator[str]:
    for split in _LABELLED:
        if split not in table.splits:
            continue
        dataset = table.splits[split]
        if task.target not in _columns(table, split):
            yield f"{task.name}: {split} has no column `{task.target}`, so there is nothing to score"
            continue
        empty = np.flatnonzero(matching(dataset, task.where) & ~with_text(dataset, task.inputs))
        if len(empty):
            where = _places(table, split, int(empty[0]), len(empty))
            yield f"{task.name}: {_counted(len(empty))} of {split} left out for want of text ({where})"


def _barren(task: Task, table: Table, split: str, rows: np.ndarray) -> _Barren:
    answers = Cells(column(table.splits[split], task.target), rows)
    tied = groups(table.splits[split], task.group, rows)
    order, ends = np.argsort(tied, kind="stable"), np.cumsum(np.bincount(tied))
    examples = (order[end - size : end] for end, size in zip(ends, np.bincount(tied), strict=True))
    first = [int(rows[of[0]]) for of in examples if task.barren([answers[place] for place in of])]
    return _Barren(first, len(ends))


def _barren_problems(task: Task, barren: Mapping[str, _Barren]) -> Iterator[Problem]:
    if barren["validation"].all:
        rule = f"none of the {barren['validation'].examples:,} examples of validation has anything relevant"
        yield Problem(_named(task, task.target), f"{rule}, so there is nothing to judge by", task.target)


def _barren_notes(task: Task, table: Table, barren: Mapping[str, _Barren]) -> Iterator[str]:
    for split, (first, examples) in barren.items():
        if first:
            count = f"{len(first):,} of {examples:,} examples of {split}"
            where = _places(table, split, first[0], len(first))
            yield f"{task.name}: {count} have nothing relevant; they teach nothing and are in no score ({where})"
