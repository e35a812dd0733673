"""A look at the data: what does not stop a run, but may spoil it.

Texts are compared after folding case and white space. Every finding has a level and a code that stays.

    overlap       texts of train that are also in validation or test
    crossed       texts of a task's test that another task trains on
    duplicates    texts that train holds several times
    rare-labels   labels with few training examples
    unseen-labels labels that validation never asks for
    imbalance     one label for most rows, under a score that rewards always guessing it
    truncation    rows that are longer than the encoder reads
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from motet.data.cells import Cells
from motet.data.rows import column, owned, text_hashes
from motet.data.sources import Table
from motet.tasks.base import Task

__all__ = ["Finding", "look"]

Level = Literal["good", "warn", "fail"]

_MOST = 0.5  # of a split in train: the same file twice, rather than an accident
_ONE_SIDED = 0.8
_LONG = 0.1
_SHOWN = 5
_REWARD_GUESSING = ("accuracy", "micro_f1")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Example:
        >>> print(Finding("warn", "duplicates", "sentiment", "3 texts of train stand there several times"))
        warn  duplicates  sentiment: 3 texts of train stand there several times
    """

    level: Level
    code: str
    task: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}  {self.code}  {self.task}: {self.message}"


def look(
    tasks: Sequence[Task],
    tables: Mapping[str, Table],
    truncated: Mapping[str, float] | None = None,
    rare: int = 10,
) -> list[Finding]:
    """Look at the data of some tasks.

    Args:
        tasks: resolved tasks.
        tables: the table of each, by the name of the task.
        truncated: share of the training rows that are cut, by the name of the task, where it is known.
        rare: a label with fewer training examples is rare.
    """
    cache: dict[tuple[Any, ...], np.ndarray] = {}
    views = [_View(task, tables[task.name], cache) for task in tasks]
    found = [finding for view in views for finding in _of_one(view, rare, (truncated or {}).get(view.task.name))]
    return found + list(_crossed(views))


@dataclass(frozen=True)
class _View:
    """The rows of one task, with the hashes of their texts."""

    task: Task
    table: Table
    cache: dict[tuple[Any, ...], np.ndarray]

    @cached_property
    def _owned(self) -> dict[str, np.ndarray]:
        labelled = {split: dataset for split, dataset in self.table.splits.items() if split != "unlabelled"}
        return {split: owned(self.task, dataset) for split, dataset in labelled.items()}

    def rows(self, split: str) -> np.ndarray:
        return self._owned.get(split, np.zeros(0, dtype=np.int64))

    def texts(self, split: str) -> np.ndarray:
        """The hash of the text of every row; tables that tasks share are hashed once."""
        rows = self.rows(split)
        if not len(rows):
            return rows
        key = (id(self.table), split, self.task.inputs)
        if key not in self.cache:
            self.cache[key] = text_hashes(self.table.splits[split], self.task.inputs)
        return np.asarray(self.cache[key][rows])

    def answers(self, split: str) -> Sequence[Any]:
        rows = self.rows(split)
        return Cells(column(self.table.splits[split], self.task.target), rows) if len(rows) else ()

    def labels(self, split: str) -> Counter[str]:
        """How often each label is given, to a text or to a word."""
        flat = (item for answer in self.answers(split) for item in (answer if isinstance(answer, list) else [answer]))
        return Counter(str(label) for label in flat if label is not None)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(getattr(self.task, "classes", ()))

    def found(self, level: Level, code: str, message: str) -> Finding:
        return Finding(level, code, self.task.name, message)


def _of_one(view: _View, rare: int, truncated: float | None) -> Iterator[Finding]:
    for split in ("validation", "test"):
        if len(view.rows(split)):
            yield _overlap(view, split)
    yield _duplicates(view)
    if view.classes:
        counts = view.labels("train")
        yield _rare(view, counts, rare)
        yield _unseen(view, counts)
        if view.task.level == "text":
            yield _imbalance(view, counts)
    if truncated is not None:
        level: Level = "warn" if truncated > _LONG else "good"
        yield view.found(level, "truncation", f"{truncated:.1%} of the rows of train are cut at the length limit")


def _overlap(view: _View, split: str) -> Finding:
    texts = view.texts(split)
    share = float(np.isin(texts, view.texts("train")).mean())
    if not share:
        return view.found("good", "overlap", f"no text of {split} is in train")
    message = f"{round(share * len(texts)):,} of {len(texts):,} texts of {split} are in train ({share:.1%})"
    return view.found("fail" if share > _MOST else "warn", "overlap", message)


def _duplicates(view: _View) -> Finding:
    texts = view.texts("train")
    different = len(np.unique(texts))
    if different == len(texts):
        return view.found("good", "duplicates", "no text is in train twice")
    answers = np.fromiter((hash(str(answer)) for answer in view.answers("train")), dtype=np.int64, count=len(texts))
    contradicted = len(np.unique(np.stack([texts, answers], axis=1), axis=0)) - different
    message = f"{len(texts) - different:,} of {len(texts):,} rows of train repeat the text of another"
    if contradicted:
        message += f", {contradicted:,} of them with another answer"
    return view.found("warn", "duplicates", message)


def _rare(view: _View, counts: Counter[str], rare: int) -> Finding:
    few = sorted((label for label in view.classes if counts[label] < rare), key=lambda label: counts[label])
    if not few:
        return view.found("good", "rare-labels", f"every label has at least {rare} training examples")
    named = _some([f"`{label}` has {counts[label]}" for label in few])
    return view.found(
        "warn",
        "rare-labels",
        f"{len(few)} of {len(view.classes)} labels have fewer than {rare} training examples: {named}",
    )


def _unseen(view: _View, counts: Counter[str]) -> Finding:
    asked = view.labels("validation")
    unseen = [label for label in view.classes if not asked[label]]
    if not unseen:
        return view.found("good", "unseen-labels", "every label is in validation")
    named = _some([f"`{label}`" for label in unseen])
    return view.found(
        "warn", "unseen-labels", f"validation never asks for {len(unseen)} of {len(view.classes)} labels: {named}"
    )


def _imbalance(view: _View, counts: Counter[str]) -> Finding:
    label, most = counts.most_common(1)[0]
    share = most / counts.total()
    message = f"the most frequent label of train, `{label}`, has {share:.0%} of the rows"
    if share < _ONE_SIDED or view.task.headline not in _REWARD_GUESSING:
        return view.found("good", "imbalance", message)
    rather = " or ".join(name for name in view.task.metrics if name in ("macro_f1", "matthews"))
    return view.found(
        "warn", "imbalance", f"{message}: {view.task.headline} rewards always guessing it, {rather} does not"
    )


def _crossed(views: Sequence[_View]) -> Iterator[Finding]:
    """Test texts of one task among the training texts of another, found in one sorted list of all training texts."""
    if len(views) < 2:
        return
    trains = [np.unique(view.texts("train")) for view in views]
    owners = np.repeat(np.arange(len(views)), [len(train) for train in trains])
    texts = np.concatenate(trains)
    order = np.argsort(texts, kind="stable")
    texts, owners = texts[order], owners[order]
    clean = True
    for own, view in enumerate(views):
        asked = view.texts("test")
        asked = asked[~np.isin(asked, trains[own])]  # those are the overlap of the task with itself
        begin, end = np.searchsorted(texts, asked, "left"), np.searchsorted(texts, asked, "right")
        hits = np.concatenate([owners[a:b] for a, b in zip(begin, end, strict=True) if b > a] or [owners[:0]])
        for other in np.unique(hits):
            clean = False
            count, trained = np.count_nonzero(hits == other), views[other].task.name
            yield view.found("warn", "crossed", f"{count:,} texts of its test are in the train split of {trained}")
    if clean:
        yield Finding("good", "crossed", "all tasks", "no test text of a task is in the train split of another")


def _some(items: Sequence[str]) -> str:
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
