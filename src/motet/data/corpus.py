"""All tasks' examples: resolved tasks, tokenised once, labels beside the rows that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from motet.data.cells import Cells
from motet.data.checks import inspect
from motet.data.encoding import Ragged, TokenRows, tokenise
from motet.data.examples import Chosen, Examples, Flat, Targets
from motet.data.rows import column, groups, owned, ranks
from motet.data.sources import Table, as_source, read
from motet.data.splits import ID
from motet.errors import DataError, Problem
from motet.tasks.base import Inputs, Task

__all__ = ["Corpus", "load_corpus", "load_tables"]


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
        problems += _reading_problems(task, tokenizer, max_length)
    shelf = _Shelf(tokenizer, max_length)
    for task in resolved.values():
        if task.written is not None and tokenizer.eos_token_id is not None:
            problems += _writing_problems(task, tables[task.name], splits, shelf)
    if problems:
        raise DataError(problems, heading="The data")
    found: dict[str, dict[str, Examples]] = {split: {} for split in splits}
    for task in resolved.values():
        table = tables[task.name]
        for split in (split for split in splits if split in table.splits):
            examples = collect(task, table, split, shelf)
            if len(examples):
                found[split][task.name] = examples
    keys: dict[str, tuple[Any, ...]] = {t.name: (as_source(t.source).key, t.inputs) for t in resolved.values()}
    fingerprints = {task: table.fingerprint for task, table in tables.items()}
    return Corpus(resolved, found, keys, tuple(dict.fromkeys(notes)), fingerprints)


def _reading_problems(task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Iterator[Problem]:
    """What the tokenizer cannot do for a task."""
    place, stride = f"tasks.{task.name}", task.inputs.stride
    room = max_length // 2 - tokenizer.num_special_tokens_to_add(pair=True)  # a question takes at most the other half
    if stride is not None and stride >= room:
        rule = f"must be below {room}, what a window of {max_length} sub-words leaves to the passage"
        yield Problem(f"{place}.stride", rule, str(stride), "Raise encoder.max_length, or lower it.")
    if task.inputs.hidden and tokenizer.mask_token_id is None:
        yield Problem(place, "hides words, and this encoder has no sub-word that stands for a hidden one")
    if task.written is not None and tokenizer.eos_token_id is None:
        yield Problem(place, "writes texts, and this encoder has no sub-word that ends one")


def _writing_problems(task: Task, table: Table, splits: Sequence[str], shelf: _Shelf) -> Iterator[Problem]:
    """True texts that are longer than the task may write."""
    assert task.written is not None
    for split in (split for split in splits if split in table.splits):
        rows = owned(task, table.splits[split])
        lengths = shelf.rows(table, split, task.written).lengths[rows] - 1  # without the token that ends a text
        long = np.flatnonzero(lengths > task.written.written)
        if len(long):
            ids, most = column(table.splits[split], ID), task.written.written
            where = ", ".join(f"{ids[int(rows[at])]} has {lengths[at]}" for at in long[:5])
            count = f"1 text of {split} is" if len(long) == 1 else f"{len(long):,} texts of {split} are"
            rule = f"{count} longer than {most} sub-words ({where})"
            yield Problem(f"tasks.{task.name}.longest", rule, task.target, f"{lengths.max()} is enough for all.")


class _Shelf:
    """Tokenised tables, each made once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._tables: dict[Any, TokenRows] = {}
        self._rows: dict[Any, list[np.ndarray]] = {}

    def rows(self, table: Table, split: str, inputs: Inputs) -> TokenRows:
        key = (as_source(table.source).key, split, inputs)
        if key not in self._tables:
            plain = replace(inputs, hidden=0.0)  # what is hidden from one step to the next is no matter of the table
            self._tables[key] = tokenise(table.splits[split], plain, self._tokenizer, self._max_length)
        return self._tables[key]

    def once(self, rows: np.ndarray, table: Table, split: str) -> np.ndarray:
        """The same array for the same rows of a split, however many tasks label them."""
        known = self._rows.setdefault((as_source(table.source).key, split), [])
        same = next((other for other in known if np.array_equal(other, rows)), None)
        if same is not None:
            return same
        known.append(rows)
        return rows


def collect(task: Task, table: Table, split: str, shelf: _Shelf) -> Examples:
    """The labelled rows of a task in one split, with their encoded answers."""
    dataset = table.splits[split]
    tokens = shelf.rows(table, split, task.inputs)
    records = shelf.once(owned(task, dataset), table, split)
    rows = tokens.rows_of(records)
    if task.written:
        targets: Targets = Chosen(shelf.rows(table, split, task.written).tokens, records)
    else:
        targets = _targets(task, dataset, tokens, records, rows)
    return Examples(task, rows, targets, tokens, split, table, _groups(task, dataset, tokens, rows))


def _targets(task: Task, dataset: Dataset, tokens: TokenRows, records: np.ndarray, rows: np.ndarray) -> Flat:
    if task.level in ("masked", "next"):
        return Flat(np.zeros(0, dtype=np.float32), width=0)  # the text is the answer
    answers = Cells(column(dataset, task.target), records)
    targets = (np.asarray(task.encode(answer), dtype=np.float32) for answer in answers)
    if tokens.origin is None or tokens.chars is None:
        return Flat.of(targets)
    cut = _windows(tokens, tokens.chars, rows)
    return Flat.of(part for target, chars in zip(targets, cut, strict=True) for part in task.align(target, chars))


def _windows(tokens: TokenRows, chars: Ragged, rows: np.ndarray) -> Iterator[list[np.ndarray]]:
    """The characters of all rows of each passage."""
    assert tokens.origin is not None
    begins = np.flatnonzero(np.diff(tokens.origin[rows], prepend=-1))
    for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True):
        yield [chars[int(row)] for row in rows[begin:end]]


def _groups(task: Task, dataset: Dataset, tokens: TokenRows, rows: np.ndarray) -> np.ndarray | None:
    if tokens.origin is not None:
        return ranks(tokens.origin[rows])
    return groups(dataset, task.group, rows) if task.group else None
