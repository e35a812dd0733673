from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, config
from datasets.utils import are_progress_bars_disabled

from motet.data.sources import Source, as_source, quietly, read, values
from motet.errors import DataError, RecipeError

pd: Any = pytest.importorskip("pandas")  # Any: it ships no types

ROWS = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(20)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def sizes(source: object, folder: Path | None = None) -> dict[str, int]:
    return {split: len(rows) for split, rows in read(source, folder).splits.items()}


def test_all_problems_of_a_source_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        Source(5, splits={"tran": "a"}, rows={"train": 0, "dev": 2}, validation=1.0, subset="en")
    assert [problem.name for problem in caught.value.problems] == [
        "path",
        "splits.tran",
        "rows.dev",
        "rows.train",
        "validation",
        "subset and revision",
    ]


def test_a_stream_says_how_many_rows_it_reads() -> None:
    with pytest.raises(RecipeError, match=r"rows\.train\n    must say how many rows .* need not have an end\. Name"):
        Source("owner/name", rows={"test": 5}, streaming=True)
    with pytest.raises(RecipeError, match=r"streaming\n    is for files and data sets on the hub"):
        Source(ROWS, rows={"train": 5}, streaming=True)


def test_streams_local_files(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl.gz", ROWS)
    write_rows(tmp_path / "test.jsonl.gz", ROWS)
    for path in (tmp_path, tmp_path / "train.jsonl.gz"):
        table = read(Source(path, rows={"train": 10}, streaming=True))
        assert {split: len(rows) for split, rows in table.splits.items()} == {"train": 9, "validation": 1}
        assert table.notes[0] == f"{path.name}: streamed, the first 10 rows of train; nothing else of it was read"
        assert {text for rows in table.splits.values() for text in rows["text"]} == {row["text"] for row in ROWS[:10]}
    with pytest.raises(DataError, match=r"rows\.validation"):
        read(Source(tmp_path, rows={"train": 10, "validation": 5}, validation=0, streaming=True))


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "5"])
def test_counts_of_rows(count: Any) -> None:
    with pytest.raises(RecipeError, match="whole number"):
        Source("a", rows={"train": count})


def test_describes_what_was_chosen() -> None:
    assert Source(Path("a/b")).describe() == {"path": "a/b"}
    chosen = {"subset": "en", "rows": {"train": 5}, "validation": 0.0, "seed": 1}
    assert Source("a", subset="en", rows={"train": 5}, validation=0.0, seed=1).describe() == {"path": "a", **chosen}
    in_memory = Source(ROWS, seed=1).describe()
    assert in_memory == {**Source([*ROWS]).describe(), "seed": 1}
    assert in_memory["path"] == "memory"
    assert json.loads(json.dumps(in_memory)) == in_memory


def test_names() -> None:
    assert Source("data/reviews.csv").name == "reviews.csv"
    assert Source("owner/set", subset="en").name == "set/en"
    assert Source(ROWS).name == "memory"


def test_equal_sources_are_shared() -> None:
    assert Source("a", rows={"train": 1, "test": 2}) == Source(Path("a"), rows={"test": 2, "train": 1})
    assert len({Source("a"), Source("a"), Source("b"), Source("a", seed=1)}) == 3
    frame = pd.DataFrame(ROWS)
    assert Source(frame) == Source(frame) != Source(frame.copy())
    assert as_source(Source("a")) == as_source("a")


@pytest.mark.parametrize("path", ["set", "set/train.jsonl.gz"])
def test_reads_folders_and_files(tmp_path: Path, path: str) -> None:
    write_rows(tmp_path / "set" / "train.jsonl.gz", ROWS)
    table = read(path, tmp_path)
    assert {split: len(rows) for split, rows in table.splits.items()} == {"train": 18, "validation": 2}
    assert table.notes == (f"{Path(path).name}: validation is 10 % of train, cut off with seed 13",)
    ids = [name for rows in table.splits.values() for name in rows["__id__"]]
    assert sorted(ids, key=lambda name: int(name.split(":")[1])) == [f"train:{number}" for number in range(1, 21)]


def test_official_splits_are_kept(tmp_path: Path) -> None:
    for name, count in (("train", 9), ("valid", 5), ("test", 3), ("unlabeled", 7)):
        write_rows(tmp_path / f"{name}.jsonl.gz", [{"id": f"{name}-{n}", "text": "t"} for n in range(count)])
    table = read(tmp_path)
    assert sizes(tmp_path) == {"train": 9, "validation": 5, "test": 3, "unlabelled": 7}
    assert table.splits["test"]["__id__"][:] == ["test-0", "test-1", "test-2"]
    assert not table.notes


def test_rows_are_kept_and_noted() -> None:
    table = read(Source(ROWS, rows={"train": 5, "validation": 50}))
    assert {split: len(rows) for split, rows in table.splits.items()} == {"train": 5, "validation": 2}
    assert table.notes[1:] == ("memory: 5 of 18 rows of train, drawn with seed 13",)
    with pytest.raises(DataError, match=r"rows\.test"):
        read(Source(ROWS, rows={"test": 5}))


def test_no_validation_is_cut_where_none_is_wanted() -> None:
    assert sizes(Source(ROWS, validation=0)) == {"train": 20}


def test_fingerprint_follows_content_and_draws(tmp_path: Path) -> None:
    first, second = (write_rows(tmp_path / name / "train.jsonl.gz", ROWS) for name in "ab")
    assert read(first).fingerprint == read(second).fingerprint == read(first.parent).fingerprint
    others = [Source(first, seed=1), Source(first, validation=0.2), Source(first, rows={"train": 5}), ROWS]
    assert len({read(first).fingerprint, *(read(other).fingerprint for other in others)}) == 5


def test_fingerprints_are_the_same_in_every_process(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "train.jsonl.gz", ROWS)
    program = f"from motet.data.sources import read; print(read({str(path)!r}).fingerprint, read({ROWS}).fingerprint)"
    environment = {**os.environ, "MOTET_CACHE": str(tmp_path / "cache"), "PYTHONHASHSEED": "5"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [read(path).fingerprint, read(ROWS).fingerprint]


def test_class_labels_and_data_sets_in_memory() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, 1]}, features=features)
    table = read(DatasetDict(train=rows, test=rows.select([2, 0])))
    assert table.splits["train"]["label"][:] + table.splits["validation"]["label"][:] != [1, 0, 1]
    assert table.splits["test"]["label"][:] == ["yes", "yes"]
    assert table.splits["test"].data.table.column("text").to_pylist() == ["c", "a"]


def test_an_unwritten_path_is_told_with_its_neighbours(tmp_path: Path) -> None:
    write_rows(tmp_path / "reviews" / "train.jsonl.gz", ROWS)
    with pytest.raises(DataError, match=rf"is not there. Looked for .*Nearby: {tmp_path / 'reviews'}"):
        read(tmp_path / "revews")


def test_a_hub_name_says_what_was_looked_for_here() -> None:
    with pytest.raises(DataError, match=r"cannot be read from the hub.*Looked for .*nobody/nothing"):
        read("nobody/nothing")


def test_local_paths_have_no_revision_and_files_no_splits(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "train.jsonl.gz", ROWS)
    with pytest.raises(DataError, match="no subset or revision"):
        read(Source(tmp_path, revision="v1"))
    with pytest.raises(DataError, match="single file"):
        read(Source(path, splits={"train": "train.jsonl.gz"}))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n")
    with pytest.raises(DataError, match="must hold at least one row"):
        read(tmp_path)


def test_what_is_mixed_is_kept_for_the_checks(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "train.jsonl.gz", [{"text": "a", "n": 1}, {"text": "b", "n": "two"}])
    assert read(path).mixed == {"n": "holds a whole number (line 1), text (line 2) in train"}


def test_values_of_a_column() -> None:
    table = read([{"shop": shop, "stars": stars, "tags": []} for shop, stars in (("b", 2), ("a", 1), (None, 2)) * 4])
    assert values(table, "shop") == ["a", "b"]
    assert values(table, "stars") == [1, 2]
    with pytest.raises(DataError, match="Did you mean `shop`"):
        values(table, "shops")
    with pytest.raises(DataError, match="holds lists"):
        values(table, "tags")


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("chosen", [None, False, True])
def test_progress_bars_are_left_as_they_were(
    monkeypatch: pytest.MonkeyPatch, disabled: bool, chosen: bool | None
) -> None:
    bars = sys.modules["datasets.utils.tqdm"]  # the attribute of that name is a class
    for module in (config, bars):
        monkeypatch.setattr(module, "HF_DATASETS_DISABLE_PROGRESS_BARS", chosen)
    monkeypatch.setattr(bars, "_hf_datasets_progress_bars_disabled", disabled)
    with quietly():
        assert are_progress_bars_disabled() == (disabled or chosen is None)
    assert are_progress_bars_disabled() == disabled


CARDS = ["amcd_en", "customer_reviews", "wnut17", "stsb", "clothing_reviews", "fdu_mtl"]


@pytest.mark.parametrize("name", CARDS)
def test_real_sets_are_as_their_cards_say(data_folder: Path, name: str) -> None:
    card = json.loads((data_folder / name / "dataset.json").read_text(encoding="utf-8"))
    table = read(name, data_folder)
    found = {split.replace("unlabelled", "unlabeled"): len(rows) for split, rows in table.splits.items()}
    assert found == {split: about["rows"] for split, about in card["splits"].items()}
    assert not table.mixed
    with gzip.open(data_folder / name / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        raw = [json.loads(line) for line in file]
    assert table.splits["test"].remove_columns("__id__").to_list() == raw
    assert table.splits["test"]["__id__"][:] == [row["id"] for row in raw]


def test_a_task_can_be_made_for_each_domain(data_folder: Path) -> None:
    card = json.loads((data_folder / "fdu_mtl" / "dataset.json").read_text(encoding="utf-8"))
    assert values(read("fdu_mtl", data_folder), "domain") == sorted(card["tasks"][0]["task_values"])
