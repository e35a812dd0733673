"""Rows of files: read by the columns of each task, answered in their order, refused with their number."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.encoders.conftest import make_t5

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.errors import RunError
from motet.model import MultiTaskModel, build
from motet.serving.rows import answers, read_lines
from motet.tasks import Classification, Generation, MaskedLanguage, Ranking, Regression, Spans, Tagging, Task

Motet = Callable[..., Any]


class Echo:
    """Stands in for a model: every task answers with the text it was given, and counts its calls."""

    def __init__(self, **columns: tuple[str, ...]) -> None:
        self.tasks = {name: stub(of) for name, of in columns.items()}
        self.calls: list[int] = []

    def predict(self, texts: list[Any], tasks: list[str] | None) -> list[dict[str, Any]]:
        self.calls.append(len(texts))
        return [dict.fromkeys(tasks or self.tasks, text) for text in texts]


def stub(columns: tuple[str, ...]) -> Any:
    inputs = type("Inputs", (), {"columns": columns})
    return type("Task", (), {"inputs": inputs, "answers_texts": True, "group": ""})


def ask(model: Any, values: list[Any], *tasks: str) -> list[dict[str, Any]]:
    return list(answers(model, values, tasks))


def test_an_object_is_read_by_the_columns_of_each_task() -> None:
    model = Echo(mood=("text",), pair=("a", "b"), tags=("tokens",))
    row = {"text": "t", "a": "x", "b": "y", "tokens": ["to", "ken"], "id": 3}
    assert ask(model, [row, {"text": "u"}]) == [{"mood": "t", "pair": ("x", "y"), "tags": "to ken"}, {"mood": "u"}]
    assert ask(model, [row], "pair") == [{"pair": ("x", "y")}]


def test_a_cell_that_is_null_is_not_there() -> None:
    model = Echo(mood=("text",), pair=("a", "b"))
    assert ask(model, [{"text": "t", "a": "x", "b": None}, {"text": 7}]) == [{"mood": "t"}, {"mood": "7"}]


def test_kinds_of_rows_may_be_mixed_and_keep_their_order() -> None:
    model = Echo(mood=("text",))
    assert ask(model, ["a", {"text": "b"}, ["c", "d"], "e"]) == [{"mood": text} for text in ("a", "b", ("c", "d"), "e")]


def test_rows_are_answered_in_batches_while_they_come() -> None:
    model = Echo(mood=("text",))
    stream = answers(model, (f"{n}" for n in range(150)), ())  # type: ignore[arg-type]
    assert next(stream) == {"mood": "0"}
    assert model.calls == [64]
    assert len(list(stream)) == 149
    assert model.calls == [64, 64, 22]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"title": "t"}, "row 2: an object has title, but the tasks read text or a and b"),
        ({"a": "x", "b": None}, "row 2: an object has a, but the tasks read text or a and b"),
        ({}, "row 2: an object has nothing, but"),
        ({"text": {"en": "t"}}, 'row 2: `text` must be a text or a list of words, found {"en": "t"}'),
        ({"text": ["a", None]}, r"row 2: `text` must be a text or a list of words, found \[\"a\", null\]"),
        (["a", 3], r"row 2: must be a text, a list of texts or an object, found \[\"a\", 3\]"),
        ([], r"row 2: must be a text, a list of texts or an object, found \[\]"),
        (None, "row 2: must be a text, a list of texts or an object, found null"),
    ],
)
def test_a_row_that_no_task_can_read(value: Any, told: str) -> None:
    with pytest.raises(RunError, match=told):
        ask(Echo(mood=("text",), pair=("a", "b")), ["fine", value])


@pytest.mark.parametrize("line", ["{broken", '["a', '"open'])
def test_a_line_that_begins_like_json_names_its_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.txt").write_text(f"fine\n\n{line}\n", encoding="utf-8")
    values = read_lines(str(tmp_path / "x.txt"))
    assert next(values) == "fine"
    with pytest.raises(RunError, match="line 3: begins like JSON"):
        next(values)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="cannot be read"):
        list(read_lines(str(tmp_path / "x.txt")))


TASKS: tuple[Task, ...] = (
    Classification("mood", source="s", classes=("no", "yes")),
    Tagging("places", source="s", classes=("B-place", "O"), outside="O"),
    Spans("where", source="s", stride=4),
    Ranking("order", source="s", query_id="query_id", highest=1.0),
    MaskedLanguage("words", source="s"),
)
PASSAGE = "the train to Lisbon leaves at nine and the train to Paris leaves on Monday " * 3


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> MultiTaskModel:
    torch.manual_seed(4)
    tasks = {task.name: task for task in TASKS}
    return build(Encoder(str(tiny_encoder), max_length=32), HardSharing(), tasks).eval()


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> MultiTaskModel:
    folder = tmp_path_factory.mktemp("t5")
    torch.manual_seed(3)
    for part in make_t5():
        part.save_pretrained(folder)
    tasks: tuple[Task, ...] = (
        Generation("reply", source="s", text="text", longest=5),
        Generation("label", source="s", prompt="{text} {other} is", longest=4),
        Regression("size", source="s", mean=0.0, scale=1.0),
    )
    return build(Encoder(str(folder), max_length=32), HardSharing(), {task.name: task for task in tasks}).eval()


def test_every_shape_reads_its_own_columns(model: MultiTaskModel) -> None:
    row = {
        "text": "a good film",
        "tokens": ["in", "Lisbon"],
        "question": "does it rain",
        "context": PASSAGE,
        "query": "train",
        "candidate": "the train leaves",
        "query_id": 4,
    }
    (found,) = ask(model, [row])
    assert list(found) == ["mood", "places", "where", "order"], "a language model has no answer"
    assert len(found["places"]["tags"]) == 2
    where = found["where"]
    assert PASSAGE[where["start"] : where["end"]] == where["text"]
    assert where == model.predict(("does it rain", PASSAGE), ["where"])["where"]
    assert found["order"]["rank"] == 1
    assert ask(model, [{"question": "q", "context": PASSAGE, "query": "no candidate"}]) == [
        {"where": model.predict(("q", PASSAGE), ["where"])["where"]}
    ]


def test_texts_are_written_from_their_columns(writer: MultiTaskModel) -> None:
    rows = [{"text": "a good film", "other": "warm"}, {"text": "slow and cold"}, "rain today"]
    found = ask(writer, rows)
    assert [list(answer) for answer in found] == [["reply", "size", "label"], ["reply", "size"], ["reply", "size"]]
    assert found[0]["label"] == writer.predict(("a good film", "warm"), ["label"])["label"]
    assert [answer["reply"] for answer in found] == [
        writer.predict(text, ["reply"])["reply"] for text in ("a good film", "slow and cold", "rain today")
    ]


def candidates(query: int, count: int) -> list[dict[str, Any]]:
    words = ("good", "bad", "warm", "slow", "cold", "dry", "nine", "rain")
    return [
        {"query_id": query, "query": "film", "candidate": f"{words[(query + n) % 8]} {words[n % 8]} film {n}"}
        for n in range(count)
    ]


def test_candidates_are_ranked_within_their_query_across_batches(model: MultiTaskModel) -> None:
    sizes = (3, 1, 100, 7)
    rows = [row for query, size in enumerate(sizes) for row in candidates(query, size)]
    found = [answer["order"] for answer in ask(model, rows, "order")]
    alone = model.predict([(row["query"], row["candidate"]) for row in rows], ["order"])
    assert [answer["score"] for answer in found] == pytest.approx([one["order"]["score"] for one in alone], abs=1e-5)
    start = 0
    for size in sizes:
        group = found[start : start + size]
        assert sorted(answer["rank"] for answer in group) == list(range(1, size + 1))
        by_rank = [answer["score"] for answer in sorted(group, key=lambda answer: answer["rank"])]
        assert by_rank == sorted(by_rank, reverse=True)
        start += size


def test_without_ids_equal_queries_are_one(model: MultiTaskModel) -> None:
    pairs = [("film", "good film"), ("film", "bad film"), ("rain", "it is dry")]
    objects = [{"query": query, "candidate": candidate} for query, candidate in pairs]
    for rows in (objects, list(map(list, pairs))):
        ranks = [answer["order"]["rank"] for answer in ask(model, rows, "order")]
        assert (sorted(ranks[:2]), ranks[2]) == ([1, 2], 1)


def test_a_query_that_comes_again_is_refused(model: MultiTaskModel) -> None:
    rows = [*candidates(0, 2), *candidates(1, 1), *candidates(0, 1)]
    with pytest.raises(RunError, match=r"row 4: the query `0` comes again after another.*sort the file by `query_id`"):
        ask(model, rows)
    told = [{"text": "fine", **row} for row in rows]
    assert len(ask(model, told, "mood")) == 4


def test_a_passage_without_words(model: MultiTaskModel) -> None:
    (found,) = ask(model, [{"question": "does it rain", "context": ""}])
    assert found == {"where": {"text": "", "start": 0, "end": 0, "margin": None}}


def test_nothing_but_json_comes_out() -> None:
    model = Echo(size=("text",))
    model.predict = lambda texts, tasks: [{"size": {"value": math.inf, "all": [math.nan, 0.5]}}]  # type: ignore[method-assign]
    assert ask(model, ["a"]) == [{"size": {"value": None, "all": [None, 0.5]}}]


def test_a_language_model_answers_nothing(model: MultiTaskModel) -> None:
    with pytest.raises(RunError, match="task `words` has no answer to a text"):
        ask(model, ["a"], "words")
    alone = {"words": replace(TASKS[4], name="words")}
    with pytest.raises(RunError, match="row 1: an object has text, but the tasks read nothing"):
        ask(type("Model", (), {"tasks": alone}), [{"text": "a"}])


def test_predict_a_file_of_candidates(motet: Motet, model: MultiTaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    lines = [json.dumps(row) for row in candidates(0, 3) + candidates(1, 2)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    said = motet("predict", tmp_path / "model", "--file", tmp_path / "x.jsonl")
    assert (said.code, said.err) == (0, "")
    ranks = [json.loads(line)["order"]["rank"] for line in said.out.splitlines()]
    assert [sorted(ranks[:3]), sorted(ranks[3:])] == [[1, 2, 3], [1, 2]]
    (tmp_path / "x.jsonl").write_text("\n".join([lines[0], lines[3], lines[1]]), encoding="utf-8")
    said = motet("predict", tmp_path / "model", "--file", tmp_path / "x.jsonl")
    assert said.code == 1
    assert "row 3: the query `0` comes again" in said.err
