"""Who labels what: how many rows of every source carry the answers of how many of its tasks.

>>> from motet.data.sources import read
>>> from motet.tasks.classification import Classification
>>> rows = [{"text": "fine", "mood": "good", "topic": "film"}, {"text": "too loud", "mood": "bad", "topic": None}]
>>> table = read({"train": rows, "validation": rows})
>>> tasks = [Classification(name, source=table.source, label=name) for name in ("mood", "topic")]
>>> (found,) = coverage(tasks, {task.name: table for task in tasks})
>>> found.pattern, found.splits["train"].labelled
('random', {'mood': 2, 'topic': 1})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from datasets import Dataset

from motet.data.rows import matching, owned, with_text
from motet.data.sources import Table, as_source
from motet.tasks.base import Task

__all__ = ["Coverage", "Pattern", "SplitCoverage", "coverage"]

Pattern = Literal["full", "random", "one", "disjoint", "semi"]

_LEARNT = ("train", "unlabelled")


@dataclass(frozen=True)
class SplitCoverage:
    """The labels of one split.

    Args:
        rows: those that at least one of the tasks can read: they match its `where` and have a text.
        labelled: by task, how many of them have its answer.
        carrying: how many of them have the answers of no task, of one, of two, ..., of all.
    """

    rows: int
    labelled: dict[str, int]
    carrying: list[int]


@dataclass(frozen=True)
class Coverage:
    """The labels of one source.

    Args:
        source: its name.
        tasks: those that read it.
        splits: all that it has. Nothing counts as labelled in `unlabelled`, which no task learns from.

    Relations:
        `motet.data.findings.look` says what is odd about the labels that are there.
    """

    source: str
    tasks: tuple[str, ...]
    splits: Mapping[str, SplitCoverage]

    @property
    def pattern(self) -> Pattern:
        """How the rows to learn from are labelled.

        `semi`: some for no task; else `disjoint`: there is only one task; `full`: all for every task; `one`: each for
        exactly one task; `random`: each for some of the tasks.
        """
        carrying = np.sum([self.splits[split].carrying for split in _LEARNT if split in self.splits], axis=0)
        if carrying[0]:
            return "semi"
        if len(self.tasks) == 1:
            return "disjoint"
        if not carrying[:-1].any():
            return "full"
        return "random" if carrying[2:].any() else "one"

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        splits = {split: asdict(found) for split, found in self.splits.items()}
        return {"source": self.source, "pattern": self.pattern, "tasks": list(self.tasks), "splits": splits}


def coverage(tasks: Sequence[Task], tables: Mapping[str, Table]) -> list[Coverage]:
    """Count the labels of every source.

    Args:
        tasks: in the order in which they are to be named.
        tables: the table of each, by the name of the task.
    """
    groups: dict[Any, list[Task]] = {}
    for task in tasks:
        groups.setdefault(as_source(task.source).key, []).append(task)
    return [_of_source(together, tables[together[0].name]) for together in groups.values()]


def _of_source(tasks: Sequence[Task], table: Table) -> Coverage:
    splits = {split: _of_split(tasks, dataset, split) for split, dataset in table.splits.items()}
    return Coverage(table.source.name, tuple(task.name for task in tasks), splits)


def _of_split(tasks: Sequence[Task], dataset: Dataset, split: str) -> SplitCoverage:
    readable = np.zeros(len(dataset), dtype=bool)
    labels = np.zeros(len(dataset), dtype=np.int16)
    labelled = {}
    for task in tasks:
        able = {*task.inputs.columns, *task.where} <= set(dataset.column_names)
        if able:
            readable |= matching(dataset, task.where) & with_text(dataset, task.inputs)
        rows = owned(task, dataset) if able and split != "unlabelled" else np.zeros(0, dtype=np.int64)
        labels[rows] += 1
        labelled[task.name] = len(rows)
    carrying = [int(np.count_nonzero(readable & (labels == count))) for count in range(1 + len(tasks))]
    return SplitCoverage(int(readable.sum()), labelled, carrying)
