from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from motet.data.checks import inspect
from motet.data.docstrings import docstrings_folder, tasks
from motet.data.sources import read

Splits = dict[str, list[dict[str, Any]]]


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.fixture(scope="module")
def splits() -> Splits:
    folder = docstrings_folder()
    return {name: read_rows(folder / f"{name}.jsonl.gz") for name in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def rows(splits: Splits) -> list[dict[str, Any]]:
    return [row for of_split in splits.values() for row in of_split]


def module_of(row: dict[str, Any]) -> str:
    """The longest part of the id that is a file of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    parts = row["id"].split(".")
    for end in range(len(parts), 0, -1):
        path = library.joinpath(*parts[:end])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return ".".join(parts[:end])
    raise AssertionError(row["id"])


def test_there_is_enough_of_everything(splits: Splits, rows: list[dict[str, Any]]) -> None:
    assert len(rows) > 5000
    shares = {split: len(of_split) / len(rows) for split, of_split in splits.items()}
    assert shares == pytest.approx({"train": 0.75, "validation": 0.1, "test": 0.15}, abs=0.03)
    for column in ("area", "kind", "belongs"):
        everywhere = {split: {row[column] for row in of_split} for split, of_split in splits.items()}
        assert everywhere["train"] == everywhere["validation"] == everywhere["test"]
    areas = Counter(row["area"] for row in rows)
    assert len(areas) == 9
    assert max(areas.values()) < 5 * min(areas.values())


def test_no_text_and_no_module_is_in_two_splits(splits: Splits, rows: list[dict[str, Any]]) -> None:
    texts = Counter(row["text"].casefold() for row in rows)
    assert max(texts.values()) == 1
    modules = {split: {module_of(row) for row in of_split} for split, of_split in splits.items()}
    assert sum(map(len, modules.values())) == len(set().union(*modules.values()))


def test_ids_are_unique(rows: list[dict[str, Any]]) -> None:
    assert len({row["id"] for row in rows}) == len(rows)


def test_a_known_row(rows: list[dict[str, Any]]) -> None:
    (row,) = [row for row in rows if row["id"] == "shutil.copyfileobj"]
    assert row["text"] == "copy data from file-like object fsrc to file-like object fdst"
    assert row["tokens"] == row["text"].split()
    assert [word for word, tag in zip(row["tokens"], row["parameter_tags"], strict=True) if tag == "P"] == [
        "fsrc",
        "fdst",
    ]
    assert (row["area"], row["kind"], row["parameters"]) == ("files", "function", 3)
    assert row["belongs"] == ("yes" if row["name"] == "copyfileobj" else "no")


def test_self_is_no_parameter_and_classes_have_none(rows: list[dict[str, Any]]) -> None:
    by_id = {row["id"]: row for row in rows}
    method = by_id["email.message.Message.get_param"]
    assert (method["kind"], method["parameters"]) == ("method", 4)
    classes = [row for row in rows if row["kind"] == "class"]
    assert {(row["parameters"], row["parameter_tags"]) for row in classes} == {(None, None)}
    assert all((row["parameter_tags"] is None) == (not row["parameters"]) for row in rows)


def test_no_text_names_its_own_object(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        own = row["id"].split("~")[0].split(".")[-1]
        if own != "this":
            assert not re.search(rf"(?<!\w){re.escape(own)}(?!\w)", row["text"], re.IGNORECASE), row["id"]


def test_half_of_the_names_are_of_another_object_and_none_tells_by_itself(splits: Splits) -> None:
    for of_split in splits.values():
        verdicts = Counter(row["belongs"] for row in of_split)
        assert verdicts["no"] / len(of_split) == pytest.approx(0.5, abs=0.03)
        own = Counter(re.sub(r"[\W_]", "", row["id"].split("~")[0].split(".")[-1]).lower() for row in of_split)
        assert own == Counter(row["name"].replace(" ", "") for row in of_split)


def test_every_task_can_be_learnt_from() -> None:
    table = read("docstrings")
    inspections = [inspect(task, table) for task in tasks()]
    assert [inspection.problems for inspection in inspections] == [[]] * 5
    assert [inspection.task and inspection.task.answer for inspection in inspections] == [
        "9 labels",
        "3 labels",
        "2 labels a word",
        "a number",
        "2 labels",
    ]


@pytest.mark.slow
def test_every_build_gives_the_same_bytes(tmp_path: Path) -> None:
    program = f"from motet.data.docstrings import build; from pathlib import Path; build(Path({str(tmp_path)!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment)
    for file in docstrings_folder().iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()
