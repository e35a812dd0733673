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
