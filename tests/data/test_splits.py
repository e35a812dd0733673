from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from datasets import Dataset

from motet.data.splits import ID, Part, agree, choose, identify
from motet.errors import DataError


def part(rows: dict[str, Sequence[Any]], mixed: dict[str, str] | None = None) -> Part:
    return Part(Dataset.from_dict(rows), mixed or {})


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train.csv", "dev.csv", "test.csv"], {"train": "train.csv", "validation": "dev.csv", "test": "test.csv"}),
        (["train", "valid", "extra"], {"train": "train", "validation": "valid"}),
        (
            ["dataset.json", "train.jsonl.gz", "unlabeled.jsonl.gz"],
            {"train": "train.jsonl.gz", "unlabelled": "unlabeled.jsonl.gz"},
        ),
        (["train", "unsupervised"], {"train": "train", "unlabelled": "unsupervised"}),
    ],
)
def test_customary_names(names: list[str], chosen: dict[str, str]) -> None:
    assert choose(names, {}, "here") == chosen


def test_wanted_names_replace_the_search() -> None:
    names = ["train", "test", "validation_matched"]
    assert choose(names, {"validation": "validation_matched", "train": "train"}, "here") == {
        "train": "train",
        "validation": "validation_matched",
    }
    with pytest.raises(DataError, match="Did you mean `validation_matched`"):
        choose(names, {"train": "train", "validation": "validation_match"}, "here")


def test_train_is_needed_and_doubles_are_refused() -> None:
    with pytest.raises(DataError, match="must have a train split"):
        choose(["test.csv"], {}, "here")
    with pytest.raises(DataError, match=r"one validation split, found dev.csv and valid.csv"):
        choose(["train.csv", "dev.csv", "valid.csv"], {}, "here")


def test_splits_are_brought_to_one_type() -> None:
    datasets, mixed = agree(
        {
            "train": part({"score": [1, 2], "tags": [["a"], []], "only": ["x", "y"]}),
            "test": part({"score": [2.5], "tags": [[]]}),
            "unlabelled": part({"tags": [["b"]]}),
        },
        "here",
    )
    assert datasets["train"]["score"][:] == [1.0, 2.0]
    assert {str(dataset.features["tags"]) for dataset in datasets.values()} == {"List(Value('string'))"}
    assert datasets["train"].column_names == ["score", "tags", "only"]
    assert not mixed


def test_what_cannot_be_one_type_becomes_text_and_is_told() -> None:
    datasets, mixed = agree({"train": part({"label": [1, 2]}), "test": part({"label": ["x"]})}, "here")
    assert datasets["train"]["label"][:] == ["1", "2"]
    assert mixed == {"label": "holds whole numbers in train, text in test"}
    _, mixed = agree({"train": part({"label": ["1"]}, {"label": "text (line 1), a list (line 3)"})}, "here")
    assert mixed == {"label": "holds text (line 1), a list (line 3) in train"}


def test_empty_splits_and_strangers_are_refused() -> None:
    with pytest.raises(DataError, match="here, test\n    must hold at least one row"):
        agree({"train": part({"a": [1]}), "test": part({"a": []})}, "here")
    with pytest.raises(DataError, match="must share columns: train has a; test has b, c"):
        agree({"train": part({"a": [1]}), "test": part({"b": [1], "c": [2]})}, "here")


def test_ids_by_default() -> None:
    unique = {"train": Dataset.from_dict({"id": [7, 8]}), "test": Dataset.from_dict({"id": [7]})}
    assert [dataset[ID][:] for dataset in identify(unique, "", "here").values()] == [["7", "8"], ["7"]]
    repeated = {"train": Dataset.from_dict({"id": [7, 7]}), "test": Dataset.from_dict({"text": ["a"]})}
    assert [dataset[ID][:] for dataset in identify(repeated, "", "here").values()] == [
        ["train:1", "train:2"],
        ["test:1"],
    ]


def test_wanted_ids_must_tell_rows_apart() -> None:
    splits = {
        "train": Dataset.from_dict({"key": ["a", "b", "a"]}),
        "validation": Dataset.from_dict({"key": ["a", None]}),
        "test": Dataset.from_dict({"kay": ["a"]}),
        "unlabelled": Dataset.from_dict({"text": ["a"]}),
    }
    with pytest.raises(DataError) as caught:
        identify(splits, "key", "here")
    assert [problem.rule for problem in caught.value.problems] == [
        "`key` must tell rows apart: `a` stands in rows 1 and 3",
        "`key` must tell rows apart: row 2 has none",
        "has no column `key` for ids. Did you mean `kay`?",
    ]


def test_the_name_of_the_column_is_reserved() -> None:
    with pytest.raises(DataError, match="__id__"):
        identify({"train": Dataset.from_dict({ID: ["a"]})}, "", "here")


@pytest.mark.parametrize(
    ("one", "other", "clash", "texts"),
    [
        ("a", ["b"], "text in train, lists of text in test", ["a", '["b"]']),
        ([True], [["b"]], "lists of true or false in train, lists of lists of text in test", ["[true]", '[["b"]]']),
        (
            {"at": 1},
            {"at": "é"},
            "objects (at: whole numbers) in train, objects (at: text) in test",
            ['{"at": 1}', '{"at": "é"}'],
        ),
        ([{"at": 1}], 0.5, "lists of objects (at: whole numbers) in train, numbers in test", ['[{"at": 1}]', "0.5"]),
    ],
)
def test_lists_and_objects_that_clash_become_text_too(one: Any, other: Any, clash: str, texts: list[str]) -> None:
    datasets, mixed = agree({"train": part({"of": [one, None]}), "test": part({"of": [other]})}, "here")
    assert mixed == {"of": f"holds {clash}"}
    assert [*datasets["train"]["of"], *datasets["test"]["of"]] == [texts[0], None, texts[1]]
    again, _ = agree({"train": part({"of": [one, None]}), "test": part({"of": [other]})}, "here")
    assert again["train"]._fingerprint == datasets["train"]._fingerprint
