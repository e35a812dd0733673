from __future__ import annotations

from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from motet.data.hub import open_streams, read_hub, spell_class_labels
from motet.errors import DataError


def test_class_numbers_become_names() -> None:
    names = ClassLabel(names=["O", "B-x"])
    features = Features({"text": Value("string"), "label": names, "tags": List(names), "deep": List(List(names))})
    rows = {"text": ["a", "b"], "label": [1, -1], "tags": [[0, 1], []], "deep": [[[1]], [[]]]}
    spelt = spell_class_labels(Dataset.from_dict(rows, features=features))
    assert spelt[:] == {
        "text": ["a", "b"],
        "label": ["B-x", None],
        "tags": [["O", "B-x"], []],
        "deep": [[["B-x"]], [[]]],
    }
    assert spelt.features == Features(
        {
            "text": Value("string"),
            "label": Value("string"),
            "tags": List(Value("string")),
            "deep": List(List(Value("string"))),
        }
    )


def test_without_classes_nothing_is_copied() -> None:
    plain = Dataset.from_dict({"text": ["a"], "tags": [["b"]]})
    assert spell_class_labels(plain) is plain


def test_asks_for_subset_and_revision_and_chooses_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(name: str, subset: str | None, revision: str | None, streaming: bool) -> DatasetDict:
        asked.append((name, subset, revision, streaming))
        rows = Dataset.from_dict({"text": ["a"]})
        return DatasetDict({"train": rows, "validation": rows, "unsupervised": rows, "extra": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert list(read_hub("a/b", "", "", {}, "")) == ["train", "validation", "unlabelled"]
    assert list(read_hub("a/b", "c", "v1", {"train": "extra"}, "")) == ["train"]
    assert list(open_streams("a/b", "c", "v1", {}, "")) == ["train", "validation", "unlabelled"]
    assert asked == [("a/b", None, None, False), ("a/b", "c", "v1", False), ("a/b", "c", "v1", True)]


def test_a_failure_is_one_sentence() -> None:
    with pytest.raises(DataError) as caught:
        read_hub("nobody/nothing", "", "", {}, "Looked for here.")
    message = str(caught.value)
    assert message.startswith(
        "nobody/nothing\n    is no file or folder, and cannot be read from the hub: Couldn't reach"
    )
    assert message.endswith(". Looked for here.")
