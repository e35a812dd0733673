from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from pyarrow import parquet

from motet.data.files import locate, looks_local, nearby, read_file, read_folder
from motet.errors import DataError


def test_a_file_is_memory_mapped_from_a_cache_of_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text('{"text": "2024-01-01", "n": 1}\n{"text": "b", "n": null}\n')
    second.write_bytes(first.read_bytes())
    one, two = read_file(first).dataset, read_file(second).dataset
    assert one.to_list() == [{"text": "2024-01-01", "n": 1}, {"text": "b", "n": None}]
    assert one.cache_files == two.cache_files != []
    assert one._fingerprint == two._fingerprint
    first.write_text('{"text": "c", "n": 1}\n')
    assert read_file(first).dataset._fingerprint != one._fingerprint


def test_the_cache_remembers_what_is_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": 5}\n')
    for _ in range(2):
        assert read_file(path).mixed == {"text": "text (line 1), a whole number (line 2)"}


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    rows.to_parquet(path)
    assert read_file(path).dataset.to_list() == rows.to_list()
    assert read_file(path).dataset.features == features
    parquet.write_table(pa.table({"n": [1, 2]}), path)
    assert read_file(path).dataset["n"][:] == [1, 2]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_file(path)


def test_formats_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.touch()
    with pytest.raises(DataError, match=r"must end in one of .jsonl .*parquet"):
        read_file(path)


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name in ("train.csv", "dev.jsonl", "odd.tsv"):
        (tmp_path / name).write_text(json.dumps({"text": name}) if name.endswith("jsonl") else f"text\n{name}\n")
    (tmp_path / "train.txt").touch()
    (tmp_path / "test.csv").mkdir()
    assert {split: part.dataset["text"][0] for split, part in read_folder(tmp_path, {}).items()} == {
        "train": "train.csv",
        "validation": "dev.jsonl",
    }
    assert list(read_folder(tmp_path, {"train": "odd.tsv"})) == ["train"]


def test_looks_here_and_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "both.csv").touch()
    (there / "reviews.csv").touch()
    monkeypatch.chdir(here)
    assert locate("both.csv", there) == here / "both.csv"
    assert locate("reviews.csv", there) == there / "reviews.csv"
    assert locate("reviews.csv", None) is None
    assert locate(str(there / "reviews.csv"), None) == there / "reviews.csv"
    assert nearby("review.csv", there).endswith(f"Nearby: {there / 'reviews.csv'}.")
    assert "Nothing of a similar name" in nearby("zzz.csv", there)
    assert "There is no folder" in nearby("no/where.csv", None)


@pytest.mark.parametrize("text", ["./a", "../a", "~/a", "/a/b", "a/b/c", "a.csv", "owner/a.jsonl.gz", "known/a"])
def test_paths_that_are_no_names_on_the_hub(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "known").mkdir()
    monkeypatch.chdir(tmp_path)
    assert looks_local(text, None)
    assert not looks_local("owner/name", None)
    assert not looks_local("name", None)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_the_first_rows_of_a_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"train.{ending}"
    rows = Dataset.from_dict({"text": [f"text {n}" for n in range(3000)], "n": list(range(3000))})
    getattr(rows, {"jsonl": "to_json"}.get(ending, f"to_{ending}"))(path)
    for count in (1, 1000, 2500, 3000, 9000):
        found = read_file(path, count).dataset
        assert found.to_list() == rows.select(range(min(count, 3000))).to_list()
    assert len({read_file(path, count).dataset._fingerprint for count in (None, 5, 6)}) == 3
    assert read_file(path, 5).dataset._fingerprint == read_file(path, 5).dataset._fingerprint


def test_what_is_behind_the_first_rows_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}\n{"n": "three"}\nno JSON at all\n')
    assert not read_file(path, 2).mixed
    assert read_file(path, 2).dataset["n"][:] == [1, 2]
    assert read_file(path, 3).mixed
    with pytest.raises(DataError, match="line 4"):
        read_file(path, 4)


def test_a_folder_of_which_some_splits_are_read(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "dev.jsonl").write_text("no JSON at all")
    parts = read_folder(tmp_path, {}, {"train": 1, "test": 9, "unlabelled": 3})
    assert {split: part.dataset["n"][:] for split, part in parts.items()} == {"train": [1], "test": [1, 2]}
