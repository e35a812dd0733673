"""Data sets on the hub, and the class labels that they come with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
from datasets import ClassLabel, Dataset, Features, Value
from datasets.exceptions import DatasetsError

from motet.data.splits import Part, choose, digest
from motet.errors import DataError, Problem

__all__ = ["read_hub", "spell_class_labels"]


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
    try:
        found = datasets.load_dataset(name, subset or None, revision=revision or None)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        rule = f"is no file or folder, and cannot be read from the hub: {reason}"
        raise DataError(Problem(name, rule, remedy=here)) from error
    chosen = choose(found, wanted, f"{name} on the hub")
    return {split: Part(found[key], {}) for split, key in chosen.items()}


def spell_class_labels(dataset: Dataset) -> Dataset:
    """The data set with the names of its classes in place of their numbers, also inside lists; -1 becomes null."""
    names = {column: _class_names(feature) for column, feature in dataset.features.items()}
    names = {column: known for column, known in names.items() if known}
    if not names:
        return dataset
    features = Features({column: _spelt(f) if column in names else f for column, f in dataset.features.items()})
    return dataset.map(
        lambda batch: {column: _spell(batch[column], known) for column, known in names.items()},
        batched=True,
        features=features,
        new_fingerprint=digest(dataset._fingerprint, "class names"),
    )


def _class_names(feature: Any) -> Sequence[str]:
    while not isinstance(feature, ClassLabel) and hasattr(feature, "feature"):
        feature = feature.feature
    return feature.names if isinstance(feature, ClassLabel) else ()


def _spelt(feature: Any) -> Any:
    return Value("string") if isinstance(feature, ClassLabel) else [_spelt(feature.feature)]


def _spell(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_spell(item, names) for item in value]
    return None if value is None or value < 0 else names[value]
