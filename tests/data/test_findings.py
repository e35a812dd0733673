from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from motet.data.checks import inspect
from motet.data.findings import Finding, look
from motet.data.sources import read
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.tagging import Tagging

Rows = list[dict[str, Any]]


def rows_of(*texts: str, label: str = "a") -> Rows:
    return [{"text": text, "label": label} for text in texts]


def findings(rows: dict[str, Rows], task: Task | None = None, **options: Any) -> dict[str, list[Finding]]:
    table = read(rows)
    resolved = inspect(task or Classification("c", source="s", classes=("a", "b")), table).task
    assert resolved is not None
    by_code: dict[str, list[Finding]] = {}
    for finding in look(
        [resolved], {resolved.name: table}, truncated=options.get("truncated"), rare=options.get("rare", 10)
    ):
        by_code.setdefault(finding.code, []).append(finding)
    return by_code


CLEAN = {
    "train": rows_of(*(f"a{n}" for n in range(10))) + rows_of(*(f"b{n}" for n in range(10)), label="b"),
    "validation": rows_of("va") + rows_of("vb", label="b"),
    "test": rows_of("ta", "tb"),
}


def test_clean_data_is_good() -> None:
    found = findings(CLEAN, truncated={"c": 0.05})
    assert {finding.level for several in found.values() for finding in several} == {"good"}
    assert set(found) == {"overlap", "duplicates", "rare-labels", "unseen-labels", "imbalance", "truncation"}


def test_overlap_is_found_whatever_case_and_space() -> None:
    found = findings({**CLEAN, "test": rows_of(" A0\n", "new", "newer")})["overlap"]
    assert [(finding.level, finding.message) for finding in found] == [
        ("good", "no text of validation is in train"),
        ("warn", "1 of 3 texts of test are in train (33.3%)"),
    ]
    assert findings({**CLEAN, "test": CLEAN["train"]})["overlap"][1].level == "fail"


def test_pairs_overlap_only_as_pairs() -> None:
    task = Classification("c", source="s", text=("text", "other"))
    train = [{**row, "other": "x"} for row in CLEAN["train"]]
    crossed = [{"text": "x", "other": "a0", "label": "a"}, {"text": "a0", "other": "y", "label": "b"}]
    assert findings({"train": train, "validation": crossed}, task)["overlap"][0].level == "good"
    assert findings({"train": train, "validation": [*crossed, train[0]]}, task)["overlap"][0].level == "warn"


def test_duplicates_and_contradictions() -> None:
    train = CLEAN["train"] + rows_of("a0", "a0 ", "b1")
    (found,) = findings({**CLEAN, "train": train})["duplicates"]
    assert found.message == "3 of 23 rows of train repeat the text of another, 1 of them with another answer"


def test_labels_that_are_rare_or_never_asked_for() -> None:
    found = findings({**CLEAN, "validation": rows_of("va")}, rare=11)
    assert (
        found["rare-labels"][0].message == "2 of 2 labels have fewer than 11 training examples: `a` has 10, `b` has 10"
    )
    assert found["unseen-labels"][0].message == "validation never asks for 1 of 2 labels: `b`"


def test_tags_are_counted_by_word() -> None:
    rows = [{"tokens": ["x", str(n)], "tags": ["O", "P"]} for n in range(10)]
    found = findings({"train": rows, "validation": rows[:1]}, Tagging("t", source="s", labels="tags"))
    assert found["rare-labels"][0].level == "good"
    assert "imbalance" not in found
    assert found["overlap"][0].level == "fail"


@pytest.mark.parametrize(("metric", "level"), [("accuracy", "warn"), ("matthews", "good")])
def test_imbalance_matters_for_scores_that_reward_guessing(metric: str, level: str) -> None:
    train = rows_of(*(f"a{n}" for n in range(95))) + rows_of("b", label="b")
    task = Classification("c", source="s", metric=metric)
    (found,) = findings({**CLEAN, "train": train}, task)["imbalance"]
    assert found.level == level
    assert "`a`, has 99% of the rows" in found.message


def test_truncation_is_passed_on() -> None:
    (found,) = findings(CLEAN, truncated={"c": 0.25})["truncation"]
    assert (found.level, found.message) == ("warn", "25.0% of the rows of train are cut at the length limit")


def test_texts_crossed_between_tasks() -> None:
    one, two = read(CLEAN), read({**CLEAN, "train": CLEAN["train"] + rows_of("ta"), "test": rows_of("a0", "fresh")})
    tasks = [Classification(name, source="s", classes=("a", "b"), positive="b") for name in ("one", "two")]
    found = [finding for finding in look(tasks, {"one": one, "two": two}) if finding.code == "crossed"]
    assert found == [Finding("warn", "crossed", "one", "1 texts of its test are in the train split of two")]
    clean = look(tasks, {"one": one, "two": one})
    assert [finding.level for finding in clean if finding.code == "crossed"] == ["good"]


def test_known_overlaps_of_real_sets(data_folder: Path) -> None:
    """The numbers are those that the description of the data sets gives."""
    pair = ("text_a", "text_b")
    tasks: list[Task] = [
        Classification("mrpc", source="mrpc", text=pair),
        Classification("stsb", source="stsb", text=pair, label="score"),
        Classification("magazines", source="fdu_mtl", where={"domain": "magazines"}),
    ]
    tables = {task.name: read(task.source, data_folder) for task in tasks}
    found = [str(finding) for finding in look(tasks, tables) if finding.code in ("crossed", "overlap")]
    assert "warn  crossed  mrpc: 498 texts of its test are in the train split of stsb" in found
    assert "warn  crossed  stsb: 109 texts of its test are in the train split of mrpc" in found
    assert "warn  overlap  magazines: 169 of 400 texts of test are in train (42.2%)" in found
