"""All tasks' examples: resolved tasks, tokenised once, labels beside the rows that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from motet.data.checks import inspect
from motet.data.encoding import TokenRows, tokenise
from motet.data.rows import owned
from motet.data.sources import Table, as_source, read
from motet.errors import DataError, Problem
from motet.tasks.base import Task

__all__ = ["Corpus", "Examples", "load_corpus", "load_tables"]


@dataclass(frozen=True)
class Examples:
    """The rows of one split that are labelled for one task.

    Args:
        rows: positions in the tokenised table, ascending, ``[examples]``.
        targets: encoded answers of all examples one after the other, ``[units]``.
        offsets: where the units of each example begin, ``[examples + 1]``.
        tokens: the tokenised table, shared by all tasks with the same inputs.
        split: which split of `table` they come from.
        table: the source, for texts and ids.
    """

    rows: np.ndarray
    targets: np.ndarray
    offsets: np.ndarray
    tokens: TokenRows
    split: str
    table: Table

    def __len__(self) -> int:
        return len(self.rows)

    def target(self, example: int) -> np.ndarray:
        """The encoded answer of one example."""
        return np.asarray(self.targets[self.offsets[example] : self.offsets[example + 1]])

    def id(self, example: int) -> str:
        """The id of one example."""
        return str(self.table.splits[self.split][int(self.rows[example])]["__id__"])

    @property
    def ids(self) -> list[str]:
        """The ids of the examples, in order."""
        names = self.table.splits[self.split]["__id__"][:]
        return [str(names[int(row)]) for row in self.rows]

    def take(self, count: int | None, seed: int) -> Examples:
        """At most `count` of the examples, drawn with a seed; the same ones every time."""
        if count is None or count >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        targets = [self.target(int(example)) for example in chosen]
        return _examples(self.rows[chosen], targets, self.tokens, self.split, self.table)


@dataclass(frozen=True)
class Corpus:
    """The examples of every task in every split.

    Args:
        tasks: resolved tasks by name, in the order given.
        splits: for every split, the examples of each task; a task without that split is absent.
        keys: per task, what identifies the token rows it reads: tasks with equal keys share them.
        notes: what was decided while reading, in sentences.
    """

    tasks: dict[str, Task]
    splits: dict[str, dict[str, Examples]]
    keys: dict[str, tuple[Any, ...]]
    notes: tuple[str, ...] = ()
    fingerprints: dict[str, str] = field(default_factory=dict)

    def examples(self, split: str) -> dict[str, Examples]:
        """The examples of every task in one split."""
        return self.splits.get(split, {})


def load_tables(tasks: Iterable[Task], folder: Path | None = None) -> dict[str, Table]:
    """The table of every task; a source that several tasks name is read once.

    Raises:
        DataError: everything that keeps any source from being read.
    """
    tables: dict[Any, Table] = {}
    problems: list[Problem] = []
    found: dict[str, Table] = {}
    for task in tasks:
        source = as_source(task.source)
        if source.key not in tables:
            try:
                tables[source.key] = read(source, folder)
            except DataError as error:
                problems += error.problems or [Problem(f"tasks.{task.name}.source", str(error))]
                continue
        found[task.name] = tables[source.key]
    if problems:
        raise DataError(problems, heading="The data")
    return found


def load_corpus(
    tasks: Sequence[Task],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    folder: Path | None = None,
    splits: Sequence[str] = ("train", "validation"),
) -> Corpus:
    """Read, check, resolve and tokenise the data of all tasks.

    Args:
        tasks: as the user gave them.
        tokenizer: of the encoder.
        max_length: longest token row.
        folder: where relative paths of sources are looked up, besides the working directory.
        splits: those to load; training never asks for `test`.

    Raises:
        DataError: every problem of every task.
    """
    tables = load_tables(tasks, folder)
    resolved: dict[str, Task] = {}
    problems: list[Problem] = []
    notes = [note for table in {id(t): t for t in tables.values()}.values() for note in table.notes]
    for task in tasks:
        inspection = inspect(task, tables[task.name])
        problems += inspection.problems
        notes += inspection.notes
        if inspection.task is not None:
            resolved[task.name] = inspection.task
    if problems:
        raise DataError(problems, heading="The data")
    tokenised: dict[Any, TokenRows] = {}
    keys: dict[str, tuple[Any, ...]] = {}
    found: dict[str, dict[str, Examples]] = {split: {} for split in splits}
    for task in resolved.values():
        table = tables[task.name]
        keys[task.name] = (as_source(task.source).key, task.inputs)
        for split in splits:
            if split not in table.splits:
                continue
            key = (*keys[task.name], split)
            if key not in tokenised:
                tokenised[key] = tokenise(table.splits[split], task.inputs, tokenizer, max_length)
            examples = collect(task, table, split, tokenised[key])
            if len(examples):
                found[split][task.name] = examples
    fingerprints = {task: table.fingerprint for task, table in tables.items()}
    return Corpus(resolved, found, keys, tuple(dict.fromkeys(notes)), fingerprints)


def collect(task: Task, table: Table, split: str, tokens: TokenRows) -> Examples:
    """The labelled rows of a task in one split, with their encoded answers."""
    dataset = table.splits[split]
    rows = owned(task, dataset)
    answers = dataset[task.target][:] if len(rows) else []
    targets = [np.asarray(task.encode(answers[int(row)]), dtype=np.float32) for row in rows]
    return _examples(rows, targets, tokens, split, table)


def _examples(rows: np.ndarray, targets: Sequence[np.ndarray], tokens: TokenRows, split: str, table: Table) -> Examples:
    offsets = np.cumsum([0, *map(len, targets)])
    flat = np.concatenate(targets) if targets else np.zeros(0, dtype=np.float32)
    return Examples(rows, flat, offsets, tokens, split, table)


def counts(examples: Mapping[str, Examples]) -> dict[str, int]:
    """How many examples every task has."""
    return {task: len(of_task) for task, of_task in examples.items()}
