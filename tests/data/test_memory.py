from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from motet.data.memory import is_table, read_memory
from motet.errors import DataError

pd: Any = pytest.importorskip("pandas")  # Any: it ships no types

ROWS: list[dict[str, Any]] = [{"text": "a", "score": 1.5, "tags": ["x"]}, {"text": "b", "score": None, "tags": []}]


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        tuple(ROWS),
        Dataset.from_list(ROWS),
        pd.DataFrame(ROWS),
        {"train": ROWS},
        DatasetDict(train=Dataset.from_list(ROWS)),
    ],
)
def test_every_table_gives_the_same_rows(value: Any) -> None:
    assert is_table(value)
    assert read_memory(value, {})["train"].dataset.to_list() == ROWS


@pytest.mark.parametrize("value", [5, None, object(), {"train": 5}, {1: ROWS}])
def test_what_is_no_table(value: Any) -> None:
    assert not is_table(value)


def test_splits_are_chosen() -> None:
    parts = read_memory({"a": ROWS, "dev": ROWS[:1]}, {"train": "a", "validation": "dev"})
    assert {split: len(part.dataset) for split, part in parts.items()} == {"train": 2, "validation": 1}


def test_numbers_and_lists_of_numpy_are_plain() -> None:
    row = {"n": np.int64(3), "x": np.float32(0.5), "words": np.array(["a", "b"]), "pair": ("c", np.str_("d")), 5: True}
    assert read_memory([row], {})["train"].dataset.to_list() == [
        {"n": 3, "x": 0.5, "words": ["a", "b"], "pair": ["c", "d"], "5": True}
    ]


def test_missing_cells_of_a_frame_are_null() -> None:
    frame = pd.DataFrame({"text": ["a", None], "n": [1.0, float("nan")], "kind": pd.Categorical(["u", "v"])})
    assert read_memory(frame, {})["train"].dataset.to_list() == [
        {"text": "a", "n": 1.0, "kind": "u"},
        {"text": None, "n": None, "kind": "v"},
    ]


def test_mixed_columns_are_told() -> None:
    frame = pd.DataFrame({"text": ["a", 5], "day": [pd.Timestamp("2024-01-01")] * 2})
    part = read_memory(frame, {})["train"]
    assert part.mixed == {"text": "text (row 1), a whole number (row 2)", "day": "Timestamp (row 1)"}
    assert part.dataset["text"][:] == ["a", "5"]


def test_rows_must_be_mappings_and_columns_unique() -> None:
    with pytest.raises(DataError, match="train, row 2\n    must be a mapping of columns, found str"):
        read_memory([{"a": 1}, "b"], {})
    with pytest.raises(DataError, match="must name each column once"):
        read_memory(pd.DataFrame([[1, 2]], columns=["a", "a"]), {})


def test_fingerprint_is_of_the_content() -> None:
    def fingerprint(rows: list[dict[str, Any]]) -> str:
        return str(read_memory(rows, {})["train"].dataset._fingerprint)

    assert fingerprint(ROWS) == fingerprint([dict(row) for row in ROWS])
    assert fingerprint(ROWS) != fingerprint(ROWS[::-1])
