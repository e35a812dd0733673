"""Sources: where the rows of a table come from, and the table itself.

>>> table = read(Source([{"text": "too loud", "label": "bad"}, {"text": "fine", "label": "good"}] * 10))
>>> {split: len(rows) for split, rows in table.splits.items()}
{'train': 18, 'validation': 2}
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import Dataset, config
from datasets.utils import are_progress_bars_disabled

from motet.data.docstrings import docstrings_folder
from motet.data.draws import cut, draw
from motet.data.files import locate, looks_local, nearby, read_file, read_folder
from motet.data.hub import read_hub, spell_class_labels
from motet.data.memory import is_table, read_memory
from motet.data.splits import ID, SPLITS, Part, agree, digest, identify
from motet.data.spool import spool_hub
from motet.errors import DataError, Problem, nearest, require

__all__ = ["Source", "Table", "as_source", "quietly", "read", "values"]


@dataclass(frozen=True, eq=False)
class Source:
    """One table of examples with splits.

    Args:
        path: a folder with a file for each split, a file (all of it is the train split), the name of a data set on
            the hub, the word ``docstrings`` for the bundled one; or a table in memory: rows, a data frame, a
            `datasets.Dataset`, or a mapping of these by split. What lies here is preferred to what is on the hub.
        subset: which configuration of a data set on the hub.
        revision: which commit, tag or branch of a data set on the hub.
        splits: for each split the file of the folder, the split on the hub or the key of the mapping; by default
            those with customary names.
        id: the column that tells the rows of a split apart; by default ``id`` if it can, else rows are numbered.
        validation: the share of train that is cut off where there is no validation split; 0 for none.
        rows: keep at most so many rows of a split, drawn with `seed`.
        seed: for both draws.
        streaming: read only the splits that `rows` names, and of each no more than its first rows: nothing further is
            downloaded or stored. Rows from the hub are fetched once, and found in the cache from then on.

    Relations:
        `read` makes a `Table` of it. Several tasks may name one source, which is then read once.

    Example:
        >>> Source("data/reviews", rows={"train": 500}).describe()
        {'path': 'data/reviews', 'rows': {'train': 500}}
    """

    path: Any
    _: KW_ONLY
    subset: str = ""
    revision: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    validation: float = 0.1
    rows: Mapping[str, int] = field(default_factory=dict)
    seed: int = 13
    streaming: bool = False

    def __post_init__(self) -> None:
        require(self.problems())

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the arguments, whatever lies at the path."""
        if not (self.text or is_table(self.path)):
            rule = "must be a path, a name on the hub, rows, a data frame or a data set"
            yield Problem("path", rule, repr(self.path)[:60])
        for name in ("splits", "rows"):
            for split in getattr(self, name):
                if split not in SPLITS:
                    yield Problem(f"{name}.{split}", f"is not a split. {nearest(str(split), SPLITS)}")
        for split, count in self.rows.items():
            if type(count) is not int or count < 1:
                yield Problem(f"rows.{split}", "must be a whole number of at least 1", repr(count))
        if not 0.0 <= self.validation < 1.0:
            yield Problem("validation", "must be a share: at least 0 and below 1", str(self.validation))
        if (self.subset or self.revision) and not self.text:
            yield Problem("subset and revision", "are for data sets on the hub, not for tables in memory")
        if self.streaming and not self.text:
            yield Problem("streaming", "is for files and data sets on the hub, not for tables in memory")
        if self.streaming and "train" not in self.rows:
            rule = "must say how many rows a source with `streaming` reads: a stream need not have an end"
            yield Problem(
                "rows.train", rule, remedy="Name every split that is wanted, as in {train: 100000, test: 5000}."
            )

    @property
    def text(self) -> str:
        """The path as text; empty for a table in memory."""
        return os.fspath(self.path) if isinstance(self.path, (str, os.PathLike)) else ""

    @property
    def name(self) -> str:
        """A short name, for plans and messages."""
        return "/".join(filter(None, (Path(self.text).name, self.subset))) or "memory"

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal sources; tables in memory are equal if they are one object."""
        options = self._options()
        plain = (tuple(sorted(value.items())) if isinstance(value, Mapping) else value for value in options.values())
        return (self.text or id(self.path), *plain)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def describe(self) -> dict[str, Any]:
        """Plain data: the path, and every field that differs from its default."""
        usual = Source("usual")._options()
        chosen = {name: value for name, value in self._options().items() if value != usual[name]}
        plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in chosen.items()}
        if self.text:
            return {"path": self.text, **plain}
        parts = read_memory(self.path, self.splits)
        content = _fingerprint({split: part.dataset for split, part in parts.items()})
        return {"path": "memory", "fingerprint": content, **plain}

    def _options(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "path"}


def as_source(value: Any) -> Source:
    """A source as it is, anything else as the path of one."""
    return value if isinstance(value, Source) else Source(value)


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a source.

    Args:
        source: where they come from.
        splits: ``train``, and as many of ``validation``, ``test`` and ``unlabelled`` as there are. Each has a column
            ``__id__`` of texts that are unique within the split.
        fingerprint: of the content; equal wherever the same content is read in the same way.
        notes: what was decided while reading, in sentences.
        mixed: columns that do not hold one kind of value, with what they hold; they were read as text.
    """

    source: Source
    splits: Mapping[str, Dataset]
    fingerprint: str
    notes: tuple[str, ...] = ()
    mixed: Mapping[str, str] = field(default_factory=dict)


def read(source: Any, folder: Path | None = None) -> Table:
    """Read a source.

    Args:
        source: a `Source`, or what it takes as its path.
        folder: where a relative path is looked up if nothing is there from the current directory.

    Raises:
        DataError: it cannot be found or read; names the file and line.
    """
    source = as_source(source)
    with quietly():
        parts = _parts(source, folder).items()
        spelt = {split: Part(spell_class_labels(dataset), mixed) for split, (dataset, mixed) in parts}
        typed, mixed = agree(spelt, source.name)
        splits, notes = _select(source, identify(typed, source.id, source.name))
    return Table(source, splits, _fingerprint(splits), notes, mixed)


def values(table: Table, column: str) -> list[Any]:
    """The different values of a column in the train split, sorted; one task can be made of each.

    Raises:
        DataError: there is no such column, or it holds lists.
    """
    train = table.splits["train"]
    if column not in train.column_names:
        known = [name for name in train.column_names if name != ID]
        raise DataError(Problem(column, f"is not a column of {table.source.name}", remedy=nearest(column, known)))
    try:
        return sorted(value for value in train.unique(column) if value is not None)
    except pa.ArrowException as error:
        raise DataError(Problem(column, f"of {table.source.name} holds lists, which cannot be told apart")) from error


def _parts(source: Source, folder: Path | None) -> dict[str, Part]:
    if not source.text:
        return read_memory(source.path, source.splits)
    counts = source.rows if source.streaming else None
    found = docstrings_folder() if source.text == "docstrings" else locate(source.text, folder)
    if found is None and not looks_local(source.text, folder):
        where = (source.text, source.subset, source.revision, source.splits, nearby(source.text, folder))
        return read_hub(*where) if counts is None else spool_hub(*where, counts)
    if found is None:
        raise DataError(Problem(source.text, "is not there", remedy=nearby(source.text, folder)))
    if source.subset or source.revision:
        rule = f"has no subset or revision: those are for data sets on the hub, and {found} is here"
        raise DataError(Problem(source.text, rule))
    if found.is_dir():
        return read_folder(found, source.splits, counts)
    if source.splits:
        raise DataError(Problem(source.text, "has no splits to choose from: it is a single file"))
    return {"train": read_file(found, counts["train"] if counts else None)}


def _select(source: Source, splits: dict[str, Dataset]) -> tuple[dict[str, Dataset], tuple[str, ...]]:
    """The splits with a validation split if one is wanted, and with no more rows than are wanted."""
    notes = [_streamed(source, splits)] if source.streaming else []
    if "validation" not in splits and source.validation:
        splits["train"], splits["validation"] = cut(splits["train"], source.validation, source.seed)
        share = f"{100 * source.validation:g} %"
        notes.append(f"{source.name}: validation is {share} of train, cut off with seed {source.seed}")
    for split, count in source.rows.items():
        if split not in splits:
            raise DataError(Problem(f"rows.{split}", f"{source.name} has no such split"))
        if count < len(splits[split]):
            kept = f"{count:,} of {len(splits[split]):,} rows of {split}"
            notes.append(f"{source.name}: {kept}, drawn with seed {source.seed}")
            splits[split] = draw(splits[split], count, split, source.seed)
    return {split: splits[split] for split in SPLITS if split in splits}, tuple(notes)


def _streamed(source: Source, splits: Mapping[str, Dataset]) -> str:
    read_ = " and ".join(f"{len(splits[split]):,} rows of {split}" for split in source.rows if split in splits)
    return f"{source.name}: streamed, the first {read_}; nothing else of it was read"


def _fingerprint(splits: Mapping[str, Dataset]) -> str:
    return digest(*((split, dataset._fingerprint) for split, dataset in sorted(splits.items())))


@contextmanager
def quietly() -> Iterator[None]:
    """No progress bars of `datasets`, whose work here is either small or cached.

    A choice made in the environment stands; `datasets` would warn of any attempt to change it.
    """
    free = config.HF_DATASETS_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    if free:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if free:
            datasets.enable_progress_bars()
