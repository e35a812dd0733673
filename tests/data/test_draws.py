from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features
from hypothesis import given
from hypothesis import strategies as st

from motet.data.draws import cut, draw
from motet.data.files import read_file
from motet.data.splits import ID, identify
from motet.errors import DataError


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 3))
def test_a_cut_parts_the_rows(total: int, share: float, seed: int) -> None:
    rows = Dataset.from_dict({"row": list(range(total))})
    train, validation = cut(rows, share, seed)
    assert sorted(train["row"][:] + validation["row"][:]) == list(range(total))
    assert len(validation) == min(max(1, round(share * total)), total - 1)
    assert train["row"][:] == sorted(train["row"][:])


def test_one_row_cannot_be_cut() -> None:
    with pytest.raises(DataError, match="one row only"):
        cut(Dataset.from_dict({"row": [1]}), 0.1, 13)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_smaller_draw_is_within_a_larger_one(one: int, two: int) -> None:
    rows = Dataset.from_dict({"row": list(range(30))})
    small, large = sorted((draw(rows, count, "train", 1)["row"][:] for count in (one, two)), key=len)
    assert len(small) == min(one, two, 30)
    assert set(small) <= set(large)


def test_draws_differ_by_seed_alone() -> None:
    rows = Dataset.from_dict({"row": list(range(1000))})
    first, again, other = (draw(rows, 5, "train", seed)["row"][:] for seed in (1, 1, 2))
    assert first == again != other
    assert first == [27, 89, 258, 395, 832]  # the same with every version of every library


def test_positions_are_those_of_the_arrow_table() -> None:
    """Columns are read in place elsewhere, which would see through a selection."""
    rows = identify({"train": Dataset.from_dict({"row": list(range(20))})}, "", "here")["train"]
    for dataset in (draw(rows, 5, "train", 1), *cut(rows, 0.3, 1)):
        table: pa.Table = dataset.data.table
        assert table.column("row").to_pylist() == dataset["row"][:]
        assert table.column(ID).to_pylist() == [f"train:{row + 1}" for row in dataset["row"][:]]


def test_what_is_on_disk_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n\n" + "".join(f"{number}\n" for number in range(5000)))
    rows = identify({"train": read_file(path).dataset}, "", "here")["train"]
    train, validation = cut(rows, 0.1, 1)
    assert (len(train), len(validation)) == (4500, 500)
    assert train.cache_files != validation.cache_files != []
    assert cut(rows, 0.1, 1)[0].cache_files == train.cache_files
    assert [f"train:{number + 1}" for number in validation["n"]] == validation[ID][:]


def test_features_are_kept() -> None:
    rows = Dataset.from_dict({"label": [0, 1, 1]}, features=Features({"label": ClassLabel(names=["a", "b"])}))
    assert draw(rows, 2, "train", 1).features == rows.features
