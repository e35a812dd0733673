"""Data sets on the hub, and the class labels that they come with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
from datasets import ClassLabel, Dataset, Features, IterableDataset, Value
from datasets.exceptions import DatasetsError

from motet.data.splits import Part, choose, digest
from motet.errors import DataError, Problem

__all__ = ["FAULTS", "class_names", "open_streams", "read_hub", "reason_of", "spell", "spell_class_labels"]

FAULTS = (OSError, ValueError, RuntimeError, DatasetsError)  # what reading from the hub may end in


def read_hub(name: str, subset: str, revision: str, wanted: Mapping[str, str], here: str) -> dict[str, Part]:
    """The splits of a data set on the hub, or in the local cache of it.

    Args:
        name: of the data set.
        subset: its configuration; empty for the only one.
        revision: commit, tag or branch; empty for the newest.
        wanted: hub splits by split; empty for those with customary names.
        here: what was looked for on this machine before, as a sentence.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    return {split: Part(found, {}) for split, found in _load(name, subset, revision, wanted, here, False).items()}


def open_streams(
    name: str, subset: str, revision: str, wanted: Mapping[str, str], here: str
) -> dict[str, IterableDataset]:
    """The splits of a data set on the hub, whose rows are fetched as they are gone through; see `read_hub`."""
    return _load(name, subset, revision, wanted, here, True)


def reason_of(error: Exception) -> str:
    """What an error says, on one line of a length that can be read."""
    return " ".join(str(error).split())[:300].rstrip(".")


def _load(
    name: str, subset: str, revision: str, wanted: Mapping[str, str], here: str, streaming: bool
) -> dict[str, Any]:
    try:
        found = datasets.load_dataset(name, subset or None, revision=revision or None, streaming=streaming)
    except FAULTS as error:
        rule = f"is no file or folder, and cannot be read from the hub: {reason_of(error)}"
        raise DataError(Problem(name, rule, remedy=here)) from error
    return {split: found[key] for split, key in choose(found, wanted, f"{name} on the hub").items()}


def spell_class_labels(dataset: Dataset) -> Dataset:
    """The data set with the names of its classes in place of their numbers, also inside lists; -1 becomes null."""
    names = class_names(dataset.features)
    if not names:
        return dataset
    features = Features({column: _spelt(f) if column in names else f for column, f in dataset.features.items()})
    return dataset.map(
        lambda batch: {column: spell(batch[column], known) for column, known in names.items()},
        batched=True,
        features=features,
        new_fingerprint=digest(dataset._fingerprint, "class names"),
    )


def class_names(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The names of the classes that columns hold the numbers of."""
    names = {column: _class_names(feature) for column, feature in features.items()}
    return {column: known for column, known in names.items() if known}


def spell(value: Any, names: Sequence[str]) -> Any:
    """The name of a class in place of its number, also inside lists; -1 becomes None."""
    if isinstance(value, list):
        return [spell(item, names) for item in value]
    return None if value is None or value < 0 else names[value]


def _class_names(feature: Any) -> Sequence[str]:
    while not isinstance(feature, ClassLabel) and hasattr(feature, "feature"):
        feature = feature.feature
    return feature.names if isinstance(feature, ClassLabel) else ()


def _spelt(feature: Any) -> Any:
    return Value("string") if isinstance(feature, ClassLabel) else [_spelt(feature.feature)]
