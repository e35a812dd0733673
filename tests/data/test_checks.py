from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from motet.data.checks import inspect
from motet.data.sources import Source, Table, read
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

Rows = list[dict[str, Any]]

GOOD: Rows = [
    {
        "text": f"text {n}",
        "label": "ab"[n % 2],
        "score": float(n),
        "tokens": ["x", "y"],
        "tags": ["O", "P"],
        "shop": "st"[n % 2],
    }
    for n in range(8)
]


def table_of(train: Rows, validation: Rows | None = None, test: Rows | None = None) -> Table:
    splits = {"train": train, "validation": GOOD if validation is None else validation}
    return read(Source(splits if test is None else {**splits, "test": test}))


def changed(*changes: tuple[int, dict[str, Any]]) -> Rows:
    rows = [dict(row) for row in GOOD]
    for row, cells in changes:
        rows[row - 1].update(cells)
    return rows


def without(column: str) -> Rows:
    return [{name: value for name, value in row.items() if name != column} for row in GOOD]


CLASSES = Classification("c", source="s")
NUMBERS = Regression("r", source="s", value="score")
TAGS = Tagging("t", source="s", labels="tags")


def only(task: Task, table: Table) -> str:
    inspection = inspect(task, table)
    assert inspection.task is None
    (problem,) = inspection.problems
    return str(problem)


@pytest.mark.parametrize("task", [CLASSES, NUMBERS, TAGS])
def test_good_data_resolves_the_task(task: Task) -> None:
    inspection = inspect(task, table_of(GOOD, test=GOOD))
    assert not inspection.problems
    assert not inspection.notes
    answers = [row[task.target] for row in GOOD]
    assert inspection.task == task.resolve(answers) != task


def test_unknown_columns_are_all_told_by_field() -> None:
    task = Classification("c", source="s", text=("txet", "text"), label="lable", where={"shpo": "s"})
    inspection = inspect(task, table_of(GOOD))
    assert [str(problem) for problem in inspection.problems] == [
        "tasks.c.text = txet\n    is not a column of memory. Did you mean `text`?",
        "tasks.c.label = lable\n    is not a column of memory. Did you mean `label`?",
        "tasks.c.where.shpo = shpo\n    is not a column of memory. Did you mean `shop`?",
    ]


def test_a_column_must_be_in_every_split() -> None:
    assert only(CLASSES, table_of(GOOD, without("text"), without("text"))) == (
        "tasks.c.text = text\n    is a column of train, but not of validation and test"
    )
    assert "not of validation" in only(CLASSES, table_of(GOOD, without("label")))


def test_a_test_split_without_answers_is_noted() -> None:
    inspection = inspect(CLASSES, table_of(GOOD, test=without("label")))
    assert inspection.task is not None
    assert inspection.notes == ["c: test has no column `label`, so there is nothing to score"]


@pytest.mark.parametrize(
    ("task", "column", "value", "words"),
    [
        (CLASSES, "text", 5, "must hold text, found whole numbers (row 1 has '5', row 2 has '5', row 3 has '5')"),
        (CLASSES, "text", 0.5, "must hold text, found numbers"),
        (CLASSES, "text", ["a"], "must hold text, found lists of text (row 1 has \"['a']\""),
        (CLASSES, "text", None, "must hold text, found nothing"),
        (TAGS, "tokens", "a b", "must hold lists of text, found text (row 1 has 'a b'"),
        (TAGS, "tokens", [1, 2], "must hold lists of text, found lists of whole numbers"),
    ],
)
def test_inputs_of_another_kind(task: Task, column: str, value: Any, words: str) -> None:
    rows = changed(*((row, {column: value}) for row in range(1, 9)))
    assert words in only(task, table_of(rows, rows))


def test_a_mixed_column_is_a_problem_of_the_task_that_reads_it() -> None:
    table = table_of(changed((3, {"text": 7})))
    assert only(CLASSES, table) == (
        "tasks.c.text = text\n    must hold one kind of value, but holds text (row 1), a whole number (row 3) in train"
    )
    assert inspect(TAGS, table).task is not None


def test_empty_texts_are_left_out_and_noted() -> None:
    inspection = inspect(CLASSES, table_of(changed((2, {"text": " "}), (4, {"text": None, "id": "x"}))))
    assert inspection.task is not None
    assert inspection.notes == ["c: 2 rows of train left out for want of text (row 2, and 1 more)"]


def test_unlabelled_rows_are_passed_over() -> None:
    rows = changed((1, {"label": None, "score": None, "tags": None}), (2, {"tokens": [], "tags": []}))
    for task in (CLASSES, NUMBERS, TAGS):
        assert inspect(task, table_of(rows)).task is not None


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (
            CLASSES,
            changed(*((row, {"label": None}) for row in range(1, 9))),
            "tasks.c.label = label\n    is missing in all the 8 rows of train",
        ),
        (
            CLASSES,
            changed(*((row, {"text": ""}) for row in range(1, 9))),
            "tasks.c.text = text\n    is empty in all the 8 rows of train",
        ),
        (
            Classification("c", source="s", where={"shop": "u"}),
            GOOD,
            "tasks.c.where.shop = 'u'\n    no row of train has this value. There are: s, t",
        ),
        (
            Classification("c", source="s", where={"shop": "s", "label": "b"}),
            GOOD,
            "tasks.c.where = {'shop': 's', 'label': 'b'}\n    no row of train has all of these values",
        ),
    ],
)
def test_nothing_to_learn_from(task: Task, rows: Rows, message: str) -> None:
    problems = inspect(task, table_of(rows)).problems
    assert str(problems[0]).rstrip(".") == message


def test_nothing_to_validate_with() -> None:
    nothing = [{**row, "label": None} for row in GOOD]
    assert "is missing in all the 8 rows of validation" in only(CLASSES, table_of(GOOD, nothing))
    assert "has no validation split. Give its source a share" in only(CLASSES, read(Source(GOOD, validation=0)))


def test_labels_that_train_does_not_have() -> None:
    strange = changed((1, {"label": "aa"}), (4, {"label": "aa"}), (5, {"label": "zzz"}))
    inspection = inspect(CLASSES, table_of(GOOD, strange, strange[:1]))
    assert [problem.rule for problem in inspection.problems] == [
        "3 rows of validation: `aa` is not in the label set. Did you mean `a`? (row 1, and 1 more); "
        "`zzz` is not in the label set. There are: a, b (row 5)",
        "1 row of test: `aa` is not in the label set. Did you mean `a`? (row 1)",
    ]


def test_words_and_tags_must_match() -> None:
    rows = [{**row, "id": f"n{number}"} for number, row in enumerate(changed((3, {"tags": ["O"]})), 1)]
    assert only(TAGS, table_of(rows)) == (
        "tasks.t.labels = tags\n    1 row of train: must have one tag a word, found 1 tags for 2 words (row 3, id n3)"
    )


def test_numbers_must_be_finite() -> None:
    rows = changed((1, {"score": math.nan}), (2, {"score": math.inf}))
    assert only(NUMBERS, table_of(rows)) == (
        "tasks.r.value = score\n"
        "    2 rows of train: must be finite, found nan (row 1); must be finite, found inf (row 2)"
    )


def test_the_text_among_numbers_is_shown_first(tmp_path: Path) -> None:
    lines = [f"text {n},{n}.5" for n in range(100)]
    lines[70] = "odd,n/a"
    (tmp_path / "train.csv").write_text("\n".join(["text,score", *lines]))
    rule = only(NUMBERS, read(tmp_path / "train.csv")).split("\n    ")[1]
    assert rule.startswith("90 rows of train: must be a number, found 'n/a' (row ")


CANDIDATES: Rows = [{"query": f"q {n // 2}", "candidate": "text", "relevance": n % 2} for n in range(8)]
RANKING = Ranking("k", source="s")


def test_a_validation_split_without_anything_relevant() -> None:
    nothing = [{**row, "relevance": 0} for row in CANDIDATES]
    assert only(RANKING, table_of(CANDIDATES, nothing)) == (
        "tasks.k.relevance = relevance\n"
        "    none of the 4 examples of validation has anything relevant, so there is nothing to judge by"
    )
    inspection = inspect(RANKING, table_of(CANDIDATES, CANDIDATES, nothing))
    assert inspection.task is not None
    assert inspection.notes == [
        "k: 4 of 4 examples of test have nothing relevant; they teach nothing and are in no score (row 1, and 3 more)"
    ]


def test_relevance_that_is_no_number() -> None:
    words = [{**row, "relevance": "high"} for row in CANDIDATES]
    assert "8 rows of train: must be a number, found 'high' (row 1, and 7 more)" in only(
        RANKING, table_of(words, words)
    )


def test_a_column_of_lists_in_one_split_and_of_text_in_another() -> None:
    lists = [{**row, "label": [row["label"]]} for row in GOOD]
    assert only(CLASSES, table_of(GOOD, lists)) == (
        "tasks.c.label = label\n    must hold one kind of value, but holds text in train, lists of text in validation"
    )


def test_many_complaints_are_counted() -> None:
    rows = [{"text": "t", "label": f"strange {'x' * n}"} for n in range(40)]
    (problem,) = inspect(CLASSES, table_of(GOOD, rows)).problems
    assert problem.rule.startswith("40 rows of validation: ")
    assert problem.rule.count("is not in the label set") == 5
    assert problem.rule.endswith("; and 35 more like these")


def test_what_cannot_be_resolved_is_the_task_speaking() -> None:
    assert "needs at least two classes" in only(CLASSES, table_of([{**row, "label": "a"} for row in GOOD]))


def test_rows_outside_of_where_may_hold_anything() -> None:
    rows = [{"text": str(n), "label": "ab"[n // 2 % 2], "shop": "st"[n % 2]} for n in range(8)]
    strange = table_of(rows, [*rows, {"text": "t", "label": "strange", "shop": "other"}])
    assert inspect(CLASSES, strange).problems
    assert inspect(Classification("c", source="s", where={"shop": "s"}), strange).task is not None


REAL = {
    "amcd_en": Classification("a", source="amcd_en"),
    "customer_reviews": Classification("a", source="customer_reviews"),
    "wnut17": Tagging("a", source="wnut17", labels="tags"),
    "stsb": Regression("a", source="stsb", text=("text_a", "text_b"), value="score"),
    "clothing_reviews": Classification("a", source="clothing_reviews", label="department"),
    "fdu_mtl": Classification("a", source="fdu_mtl", where={"domain": "sports_outdoors"}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_sets_have_no_problem(data_folder: Path, name: str) -> None:
    inspection = inspect(REAL[name], read(name, data_folder))
    assert not inspection.problems
    card = json.loads((data_folder / name / "dataset.json").read_text(encoding="utf-8"))
    labels = next(task for task in card["tasks"] if task["target"] == REAL[name].target).get("labels")
    assert labels is None or set(labels) == set(getattr(inspection.task, "classes", ()))
    assert len(inspection.notes) == (name == "fdu_mtl")
