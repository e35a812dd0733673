from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.columns import Rows, batches, schema_of
from motet.errors import DataError


def placed(values: list[Any]) -> Rows:
    return lambda: ((f"line {number}", {"column": value}) for number, value in enumerate(values, 1))


def stored(values: list[Any]) -> list[Any]:
    rows = placed(values)
    schema, mixed = schema_of(rows)
    table = pa.Table.from_batches(batches(rows, schema, mixed, "here"), schema)
    return list(table.column("column").to_pylist())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None], pa.null()),
        ([None, True], pa.bool_()),
        ([1, None, -3], pa.int64()),
        ([1, 2.5], pa.float64()),
        (["2024-01-01", "2024-01-02T00:00:00Z"], pa.string()),
        ([[], ["a"], None], pa.list_(pa.string())),
        ([[], []], pa.list_(pa.null())),
        ([[{"start": 1}], [{"text": "a"}]], pa.list_(pa.struct([("start", pa.int64()), ("text", pa.string())]))),
    ],
)
def test_kind_of_a_column(values: list[Any], kind: pa.DataType) -> None:
    schema, mixed = schema_of(placed(values))
    assert schema.field("column").type == kind
    assert not mixed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "b", 3, 4], "text (line 1), a whole number (line 3)"),
        ([["a"], ["b", 5]], "text (line 1), a whole number (line 2)"),
        ([1, 2**63], "a whole number (line 1), a number beyond 64 bits (line 2)"),
        ([["a"], "b"], "a list (line 1), text (line 2)"),
        ([True, 1], "true or false (line 1), a whole number (line 2)"),
        ([{"a": 1}, {"a": "x"}], "a whole number (line 1), text (line 2)"),
    ],
)
def test_a_mixed_column_is_told_with_places(values: list[Any], words: str) -> None:
    assert schema_of(placed(values))[1] == {"column": words}


def test_a_mixed_column_becomes_text() -> None:
    assert stored(["a", 1, None, ["ä"]]) == ["a", "1", None, '["ä"]']


plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(), st.lists(st.text(), max_size=3)
)
by_kind = st.one_of(
    st.lists(st.none() | st.text()),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)),
    st.lists(st.none() | st.lists(st.none() | st.text(max_size=4), max_size=3)),
)


@given(by_kind)
def test_one_kind_survives_unchanged(values: list[Any]) -> None:
    assert not values or stored(values) == values


@given(st.lists(plain, min_size=1))
def test_any_mixture_can_be_stored(values: list[Any]) -> None:
    assert [value is None for value in stored(values)] == [value is None for value in values]


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(DataError, match="here, line 1502"):
        stored(["fine"] * 1501 + ["half a pair: \ud83d"])
