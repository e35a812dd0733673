"""The splits of a table: which there are, how they agree, who is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import Dataset, Features

from motet.data.columns import as_text, in_words
from motet.data.ids import ids_of
from motet.errors import DataError, Problem, nearest

__all__ = ["ID", "SPLITS", "Part", "agree", "choose", "digest", "identify"]

ID = "__id__"
SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test",),
    "unlabelled": ("unlabelled", "unlabeled", "unsupervised"),
}


class Part(NamedTuple):
    """The rows of one split, and the columns that do not hold one kind of value, with what they hold."""

    dataset: Dataset
    mixed: Mapping[str, str]


def digest(*parts: object) -> str:
    """A fingerprint of some values, the same in every process and on every machine."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def choose(available: Iterable[str], wanted: Mapping[str, str], origin: str) -> dict[str, str]:
    """Which file, hub split or key holds which split.

    Args:
        available: names that are there, such as ``train.jsonl.gz`` or ``dev``.
        wanted: what the user says; replaces the search for customary names.
        origin: what the names are in, for messages.

    Raises:
        DataError: no train split, a name that is not there, or two names for one split.
    """
    names = sorted(map(str, available))
    if wanted:
        problems = [
            Problem(f"splits.{split}", f"is not in {origin}", name, nearest(name, names))
            for split, name in wanted.items()
            if name not in names
        ]
        if problems:
            raise DataError(problems)
        return {split: wanted[split] for split in SPLITS if split in wanted}
    found = {split: [name for name in names if name.split(".")[0] in customary] for split, customary in SPLITS.items()}
    if not found["train"]:
        raise DataError(Problem(origin, "must have a train split", remedy=nearest("train", names)))
    double = [
        Problem(origin, f"must have one {split} split, found {' and '.join(several)}", remedy="Choose with `splits`.")
        for split, several in found.items()
        if len(several) > 1
    ]
    if double:
        raise DataError(double)
    return {split: only[0] for split, only in found.items() if only}


def agree(parts: Mapping[str, Part], origin: str) -> tuple[dict[str, Dataset], dict[str, str]]:
    """The splits with the same type in each column that they share, and the columns that could not be brought to one.

    Whole numbers and numbers become numbers. What cannot be brought together becomes text.

    Raises:
        DataError: a split without rows, or no column that all labelled splits share.
    """
    datasets = {split: part.dataset for split, part in parts.items()}
    empty = [split for split, dataset in datasets.items() if not len(dataset)]
    if empty:
        raise DataError([Problem(f"{origin}, {split}", "must hold at least one row") for split in empty])
    mixed = {name: f"holds {kinds} in {split}" for split, part in parts.items() for name, kinds in part.mixed.items()}
    for column in shared_columns(datasets, origin):
        clash = _bring_to_one_type(datasets, column)
        if clash:
            mixed.setdefault(column, clash)
    return datasets, mixed


def shared_columns(datasets: Mapping[str, Dataset], origin: str) -> list[str]:
    """The columns that every labelled split has.

    Raises:
        DataError: there are none.
    """
    labelled = {split: dataset.column_names for split, dataset in datasets.items() if split != "unlabelled"}
    shared = [column for column in labelled["train"] if all(column in columns for columns in labelled.values())]
    if not shared:
        found = "; ".join(f"{split} has {', '.join(columns)}" for split, columns in labelled.items())
        raise DataError(Problem(origin, f"the splits must share columns: {found}"))
    return shared


def _bring_to_one_type(datasets: dict[str, Dataset], column: str) -> str:
    """Cast the column where splits differ; returns what it holds where, if only text holds all of it."""
    types = {split: _type(dataset, column) for split, dataset in datasets.items() if column in dataset.column_names}
    clash = ""
    try:
        schemas = [pa.schema([(column, found)]) for found in types.values()]
        common = pa.unify_schemas(schemas, promote_options="permissive").field(column).type
    except pa.ArrowException:
        common = pa.string()
        clash = "holds " + ", ".join(f"{in_words(found)} in {split}" for split, found in types.items())
    feature = Features.from_arrow_schema(pa.schema([(column, common)]))[column]
    for split, found in types.items():
        if found != common:
            fingerprint = digest(datasets[split]._fingerprint, column, str(common))
            cast = _spelt_out if pa.types.is_nested(found) and clash else Dataset.cast_column
            datasets[split] = cast(datasets[split], column, feature, new_fingerprint=fingerprint)
    return clash


def _spelt_out(dataset: Dataset, column: str, feature: Any, new_fingerprint: str) -> Dataset:
    """Lists and objects as text, which Arrow does not cast them to."""
    return dataset.map(
        lambda batch: {column: [as_text(value) for value in batch[column]]},
        batched=True,
        features=Features({**dataset.features, column: feature}),
        new_fingerprint=new_fingerprint,
    )


def _type(dataset: Dataset, column: str) -> pa.DataType:
    return dataset.features.arrow_schema.field(column).type


def identify(datasets: Mapping[str, Dataset], column: str, origin: str) -> dict[str, Dataset]:
    """Every split with one more column, ``__id__``: text that is unique in the split.

    Args:
        datasets: the splits.
        column: the column with the ids. If empty, the column ``id`` serves where it can; else ids are ``train:1``
            for the first row of the train split, and so on.
        origin: what the splits are in, for messages.

    Raises:
        DataError: the named column is missing, or an id is missing or repeated.
    """
    problems: list[Problem] = []
    identified = {}
    for split, dataset in datasets.items():
        if ID in dataset.column_names:
            raise DataError(Problem(f"{origin}, {split}", f"must not have a column `{ID}`: motet keeps its ids there"))
        fingerprint = digest(dataset._fingerprint, split, column)
        flat = dataset if dataset._indices is None else dataset.flatten_indices()
        ids, fault = ids_of(flat, split, column or "id", digest(fingerprint, "ids"))
        if fault and column:
            problems.append(Problem(f"{origin}, {split}", fault))
        identified[split] = flat.add_column(ID, ids, new_fingerprint=fingerprint)
    if problems:
        raise DataError(problems)
    return identified
