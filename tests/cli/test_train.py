"""check, train, resume: from a recipe to a finished run, with interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motet.runs import RunFolder

Motet = Callable[..., Any]
COMMAND = (sys.executable, "-c", "from motet.cli.app import main; main()")


def test_check_prints_the_plan_and_trains_nothing(motet: Motet, inside: Path) -> None:
    said = motet("check", "recipe.yaml")
    assert said.code == 0
    assert "mood" in said.out
    assert "classification" in said.out
    assert "8 steps, a check every 4" in said.out
    assert not Path("runs").exists()


def test_check_looks_at_the_data(motet: Motet, inside: Path) -> None:
    said = motet("check", "recipe.yaml", "--data", "--json", "training.steps=5")
    plan = json.loads(said.out)
    assert plan["steps"] == 5
    assert [task["name"] for task in plan["tasks"]] == ["mood", "stars"]
    assert {"level", "code", "task", "message"} == set(plan["findings"][0])
    (labels,) = plan["coverage"]
    assert (labels["source"], labels["tasks"], labels["pattern"]) == ("films.csv", ["mood", "stars"], "full")


def test_check_tells_who_labels_what_with_the_data(motet: Motet, inside: Path) -> None:
    told = "films.csv: every row has the labels of all tasks"
    assert told not in motet("check", "recipe.yaml").out
    lines = motet("check", "recipe.yaml", "--data").out.splitlines()
    after = [line.split() for line in lines[lines.index(told) + 1 :]]
    assert after[:4] == [
        ["task", "train", "validation"],
        ["mood", "108", "(100", "%)", "12", "(100", "%)"],
        ["stars", "108", "(100", "%)", "12", "(100", "%)"],
        ["all", "rows", "108", "12"],
    ]
    assert "good" in (line[0] for line in after[5:] if line), "findings come behind"


def test_check_fails_when_the_data_does(motet: Motet, inside: Path, tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    for split in ("train", "test"):
        (tmp_path / "same" / f"{split}.csv").write_bytes((inside / "films.csv").read_bytes())
    said = motet("check", "recipe.yaml", "--data", f"tasks.mood.source={tmp_path / 'same'}")
    assert said.code == 1
    assert "fail  overlap  mood" in said.out


def test_everything_wrong_with_a_recipe_is_told_before_anything_starts(motet: Motet, inside: Path) -> None:
    said = motet("train", "recipe.yaml", "training.stpes=3", "--set", "sampler=unifrom")
    assert said.code == 1
    assert not said.out
    assert "recipe.yaml has 2 problems" in said.err
    assert "Did you mean `steps`?" in said.err
    assert "Did you mean `uniform`?" in said.err
    assert said.err.endswith("Nothing was started. `motet fill recipe.yaml` shows every key with its default.\n")
    assert not Path("runs").exists()


def test_problems_of_the_data_name_the_line_of_the_recipe(motet: Motet, inside: Path, tmp_path: Path) -> None:
    text = (inside / "recipe.yaml").read_text(encoding="utf-8").replace("value: stars", "value: strs")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    said = motet("check", tmp_path / "recipe.yaml")
    assert said.code == 1
    assert "line 4  tasks.stars.value = strs" in said.err
    assert "Did you mean `stars`?" in said.err


def test_a_recipe_that_is_not_there(motet: Motet, inside: Path) -> None:
    said = motet("train", "recpe.yaml")
    assert said.code == 1
    assert "Did you mean `recipe.yaml`?" in said.err


def test_train_shows_scores_on_stdout_and_the_run_on_stderr(motet: Motet, inside: Path, tmp_path: Path) -> None:
    said = motet("train", "recipe.yaml", "training.seed=1", "--out", tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert said.code == 0
    assert [line.split()[:2] for line in said.out.splitlines()[:2]] == [["mood", "accuracy"], ["stars", "spearman"]]
    assert said.out.splitlines()[2] == f"report: {run.report_file}"
    assert "step 8 of 8" in said.err
    assert f"motet eval {run.path}" in said.err
    (plan,) = (event for event in run.events() if event["event"] == "plan")
    assert plan["commands"] == ["motet train recipe.yaml training.seed=1"]
    again = motet("train", "recipe.yaml", "--out", tmp_path / "run")
    assert again.code == 1
    assert "holds a run already" in again.err
    assert motet("resume", tmp_path / "run").code == 1


def test_train_quietly_for_a_machine(motet: Motet, inside: Path, tmp_path: Path) -> None:
    settings = ["convergence.beyond_constant=false"]  # a tiny encoder learns too little in a few steps
    said = motet("train", "recipe.yaml", *settings, "--out", tmp_path / "run", "--json", "--quiet")
    found = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert found["run"] == str(tmp_path / "run")
    assert set(found["scores"]) == {"mood", "stars"}
    assert found["reason"]


def test_a_run_has_a_folder_of_its_own_by_default(motet: Motet, inside: Path) -> None:
    said = motet("train", "recipe.yaml", "training.steps=1", "--json", "-q")
    folder = Path(json.loads(said.out)["run"])
    assert folder.parent == Path("runs")
    assert folder.name.startswith("recipe-2")
    assert RunFolder(folder).exists()


def begun(folder: Path, process: subprocess.Popen[str]) -> bool:
    events = folder / "events.jsonl"
    return process.poll() is not None or (events.exists() and '"event": "check"' in events.read_text(encoding="utf-8"))


def test_a_run_is_interrupted_and_goes_on(motet: Motet, inside: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ["training.steps=300", "training.check_every=20", "convergence=none"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [*COMMAND, "train", "recipe.yaml", *settings, "--out", str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not begun(out, process) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert f"`motet resume {out}` goes on from here" in said
    assert "Traceback" not in said
    assert not printed
    resumed = motet("resume", out, "--json")
    assert resumed.code == 0
    assert set(json.loads(resumed.out)["scores"]) == {"mood", "stars"}
    events = [event["event"] for event in RunFolder(out).events()]
    assert "resumed" in events
    assert RunFolder(out).events()[-1]["step"] == 300


def test_a_changed_recipe_is_no_resumption(motet: Motet, inside: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    motet("train", "recipe.yaml", "--out", out, "-q")
    events = [line for line in (out / "events.jsonl").read_text(encoding="utf-8").splitlines() if '"end"' not in line]
    (out / "events.jsonl").write_text("\n".join(events) + "\n", encoding="utf-8")
    recipe = out / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("steps: 8", "steps: 9"), encoding="utf-8")
    said = motet("resume", out)
    assert said.code == 1
    assert "training.steps" in said.err


@pytest.mark.parametrize("command", ["resume", "eval"])
def test_the_data_may_have_moved(motet: Motet, inside: Path, tmp_path: Path, command: str, monkeypatch: Any) -> None:
    out = tmp_path / "run"
    motet("train", "recipe.yaml", "--out", out, "-q")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    if command == "resume":
        (out / "events.jsonl").unlink()
    more = ["--split", "validation"] if command == "eval" else []
    assert motet(command, out, "--folder", inside, *more).code == 0
