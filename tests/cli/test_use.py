"""eval, predict, report, info, on a run that was made once."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import motet as package
from motet.cli.app import main
from motet.cli.rows import answers, read_lines
from motet.errors import RunError

Motet = Callable[..., Any]


@pytest.fixture(scope="module")
def run(project: Path) -> Path:
    out = project / "finished"
    with pytest.raises(SystemExit):
        main(["train", str(project / "recipe.yaml"), "--out", str(out), "--quiet"])
    return out


def answered(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_eval_scores_every_metric(motet: Motet, inside: Path, run: Path) -> None:
    said = motet("eval", run, "--split", "validation")
    assert said.code == 0
    assert ["mood", "macro_f1"] in [line.split()[:2] for line in said.out.splitlines()]
    event = json.loads(motet("eval", run, "--split", "validation", "--json").out)
    assert (event["event"], event["split"]) == ("evaluation", "validation")
    assert set(event["scores"]) == {"mood", "stars"}


def test_eval_of_a_split_that_is_not_there(motet: Motet, inside: Path, run: Path) -> None:
    said = motet("eval", run)
    assert said.code == 1
    assert "`test`" in said.err


def test_predict_a_text(motet: Motet, run: Path) -> None:
    said = motet("predict", run, "a good film")
    (answer,) = answered(said.out)
    assert (said.code, said.err) == (0, "")
    assert set(answer) == {"mood", "stars"}
    assert answer["mood"]["label"] in ("good", "bad")
    assert answered(motet("predict", run / "model", "a good film").out) == [answer]


def test_predict_some_tasks_of_a_file(motet: Motet, run: Path, tmp_path: Path) -> None:
    lines = ["a good film", "", '"a bad film"', '{"text": "a slow film", "id": 3}']
    (tmp_path / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = answered(motet("predict", run, "--file", tmp_path / "x.jsonl", "--tasks", "mood").out)
    single = [answered(motet("predict", run, f"a {word} film").out)[0] for word in ("good", "bad", "slow")]
    assert [set(answer) for answer in found] == [{"mood"}] * 3
    for answer, alone in zip(found, single, strict=True):
        assert answer["mood"]["scores"] == pytest.approx(alone["mood"]["scores"], abs=1e-5)


def test_predict_from_stdin(motet: Motet, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a good film\n" * 150))
    assert len(answered(motet("predict", run, "--file", "-").out)) == 150


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a text", "--tasks", "mod"], "Did you mean `mood`?"),
        (["one", "two"], "no task of this model reads 2 text(s)"),
        (["--file", "nowhere.txt"], "nowhere.txt cannot be read"),
    ],
)
def test_what_cannot_be_answered(motet: Motet, run: Path, arguments: list[str], told: str) -> None:
    said = motet("predict", run, *arguments)
    assert (said.code, said.out) == (1, "")
    assert told in said.err


def test_report_is_written_again(motet: Motet, run: Path) -> None:
    (run / "report.html").unlink()
    said = motet("report", run)
    assert said.out == f"{run / 'report.html'}\n"
    assert (run / "report.html").exists()


def test_info_about_this_machine_and_about_a_run(motet: Motet, run: Path) -> None:
    here = json.loads(motet("info", "--json").out)
    assert here["motet"] == package.__version__
    assert here["torch"] != "not installed"
    assert "python" in motet("info").out
    assert "end at step 8" in motet("info", run).out
    assert json.loads(motet("info", run, "--json").out)["device"] == "cpu"


class Inputs:
    def __init__(self, *columns: str) -> None:
        self.columns = columns


class Echo:
    """Stands in for a model: every task answers with the text it was given, and counts its calls."""

    def __init__(self, **columns: tuple[str, ...]) -> None:
        self.tasks = {name: type("Task", (), {"inputs": Inputs(*of)}) for name, of in columns.items()}
        self.calls: list[int] = []

    def predict(self, texts: list[Any], tasks: list[str] | None) -> list[dict[str, Any]]:
        self.calls.append(len(texts))
        return [dict.fromkeys(tasks or self.tasks, text) for text in texts]


def ask(model: Any, values: list[Any], *tasks: str) -> list[dict[str, Any]]:
    return list(answers(model, values, tasks))


def test_an_object_is_read_by_the_columns_of_each_task() -> None:
    model = Echo(mood=("text",), pair=("a", "b"), tags=("tokens",))
    row = {"text": "t", "a": "x", "b": "y", "tokens": ["to", "ken"], "id": 3}
    assert ask(model, [row, {"text": "u"}]) == [{"mood": "t", "pair": ("x", "y"), "tags": "to ken"}, {"mood": "u"}]
    assert ask(model, [row], "pair") == [{"pair": ("x", "y")}]


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


def test_an_object_that_no_task_can_read() -> None:
    with pytest.raises(RunError, match="has the keys title, but the tasks read text or a and b"):
        ask(Echo(mood=("text",), pair=("a", "b")), [{"title": "t"}])


@pytest.mark.parametrize("line", ["{broken", '["a", ', '"open'])
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
