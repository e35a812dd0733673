from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset

from motet.data.rows import matching, owned, text_hashes, with_text
from motet.tasks.base import Inputs
from motet.tasks.classification import Classification
from motet.tasks.tagging import Tagging

ROWS: dict[str, list[Any]] = {
    "text": ["a", " ", None, "b", "c", "\u00a0\t"],
    "other": ["x", "x", "x", "", "x", "x"],
    "tokens": [["a"], [], None, ["b"], [""], ["c"]],
    "label": ["l", "l", "l", "l", None, "l"],
    "tags": [["O"], [], None, ["O"], ["O"], None],
    "shop": ["s", "s", "s", None, "s", "t"],
    "stars": [1, 2, 1, 1, 1, 1],
}
DATASET = Dataset.from_dict(ROWS)


@pytest.mark.parametrize(
    ("inputs", "mask"),
    [
        (Inputs(("text",)), [1, 0, 0, 1, 1, 0]),
        (Inputs(("text", "other")), [1, 0, 0, 0, 1, 0]),
        (Inputs(("tokens",), words=True), [1, 0, 0, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_rows_with_text(inputs: Inputs, mask: list[int], large: bool) -> None:
    dataset = DATASET
    if large:
        kinds = {"text": pa.large_string(), "other": pa.large_string(), "tokens": pa.large_list(pa.large_string())}
        dataset = Dataset(pa.table({name: pa.array(ROWS[name], kind) for name, kind in kinds.items()}))
    assert with_text(dataset, inputs).tolist() == list(map(bool, mask))


def test_rows_that_match() -> None:
    assert matching(DATASET, {}).all()
    assert matching(DATASET, {"shop": "s", "stars": 1}).tolist() == [True, False, True, False, True, False]
    assert not matching(DATASET, {"stars": "1"}).any()


def test_rows_of_a_task() -> None:
    assert owned(Classification("a", source="s"), DATASET).tolist() == [0, 3]
    assert owned(Classification("a", source="s", where={"shop": "s"}), DATASET).tolist() == [0]
    assert owned(Tagging("a", source="s", labels="tags"), DATASET).tolist() == [0, 3, 4]
    assert owned(Classification("a", source="s", label="hidden"), DATASET).tolist() == []


def test_hashes_of_texts() -> None:
    pairs = Dataset.from_dict(
        {"a": ["One  two", "one\ttwo ", "one", "two", None], "b": ["x", "X", "two x", "one", "x"]}
    )
    first, again, *others = text_hashes(pairs, Inputs(("a", "b"))).tolist()
    assert first == again
    assert len({first, *others}) == 4
    words = Dataset.from_dict({"w": [["One", "two"], ["one", "TWO"], ["two"]]})
    hashes = text_hashes(words, Inputs(("w",), words=True))
    assert hashes[0] == hashes[1] != hashes[2]
