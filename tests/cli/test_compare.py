"""compare and sweep: real runs, the page, and a sweep that is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import write_project

from motet.recipe.loading import load
from motet.runs import RunFolder
from motet.study.ledger import StudyFolder, read_ledger
from motet.study.records import read_tested, record_file
from motet.training.run import start

Motet = Callable[..., Any]
COMMAND = (sys.executable, "-c", "from motet.cli.app import main; main()")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A folder with a recipe and two runs of each of two variants of it."""
    folder = write_project(tmp_path_factory.mktemp("films"), tiny_encoder)
    for name, settings in (("plain", ()), ("fast", ("training.learning_rate=0.01",))):
        for seed in (0, 1):
            experiment = load(folder / "recipe.yaml", [*settings, f"training.seed={seed}"]).experiment
            start(experiment, folder / f"{name}-{seed}", folder=folder)
    return folder


@pytest.fixture
def inside(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.delenv("MOTET_DATA", raising=False)
    return trained


RUNS = ("plain-0", "fast-0", "plain-1", "fast-1")


def test_runs_are_scored_once_and_compared(motet: Motet, inside: Path) -> None:
    said = motet("compare", *RUNS)
    assert said.code == 0, said.err
    assert said.err.count("scoring ") == 4
    assert "plain and fast: No difference can be claimed against plain on 2 tasks" in said.out
    assert "too few seeds" in said.out
    assert said.out.splitlines()[-1] == "report: comparison/study.html"
    assert {"results.csv", "results.parquet", "study.html"} == {path.name for path in Path("comparison").iterdir()}
    again = motet("compare", *RUNS, "--out", "other")
    assert again.err == ""
    for run in map(RunFolder, RUNS):
        assert [event["event"] for event in run.events()].count("evaluation") == 1


def test_the_record_holds_every_test_row(motet: Motet, inside: Path) -> None:
    motet("compare", *RUNS)
    (event,) = (event for event in RunFolder("fast-1").events() if event["event"] == "evaluation")
    tested = read_tested(record_file(RunFolder("fast-1")), texts=True)
    assert set(tested) == {"mood", "stars"}
    rows = [json.loads(line) for line in Path("films", "test.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, column in (("mood", "label"), ("stars", "stars")):
        of = tested[name]
        assert of.scores == event["scores"][name]
        assert of.rows == event["rows"][name] == len(rows)
        assert of.evidence.formula
        assert [text["id"] for text in of.texts] == [row["id"] for row in rows]
        assert [text["input"] for text in of.texts] == [row["text"] for row in rows]
        assert [text["truth"] for text in of.texts] == [str(row[column]) for row in rows]
    right = [text["truth"] == text["answer"] for text in tested["mood"].texts]
    assert tested["mood"].score == pytest.approx(sum(right) / len(right))


def test_a_comparison_for_machines(motet: Motet, inside: Path) -> None:
    found = json.loads(motet("compare", *RUNS, "--json", "--baseline", "fast").out)
    assert found["baseline"] == "fast"
    assert [variant["name"] for variant in found["variants"]] == ["fast", "plain"]
    assert {run["status"] for run in found["runs"]} == {"finished"}
    assert found["cells"][-1]["gain"]["verdict"] == "too few seeds"


def test_other_test_rows_are_refused(
    motet: Motet, inside: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motet("compare", "plain-0")
    other = write_project(tmp_path, tiny_encoder)
    test = other / "films" / "test.jsonl"
    test.write_text("".join(test.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    monkeypatch.chdir(other)
    start(load("recipe.yaml").experiment, "run", folder=other)
    said = motet("compare", inside / "plain-0", "run")
    assert said.code == 1
    assert "Only scores on the same test rows can be compared. This comparison has 2 problems" in said.err
    assert "has other test rows in run than in plain-0. Their data has the fingerprints" in said.err
    assert not said.out


def test_data_that_has_changed_is_not_scored(
    motet: Motet, inside: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    start(load("recipe.yaml", ["training.seed=7"]).experiment, run, folder=inside)
    other = write_project(tmp_path / "other", tiny_encoder)
    (other / "films" / "test.jsonl").write_text('{"id": "1", "text": "good", "label": "good", "stars": 1.0}\n')
    monkeypatch.chdir(other)  # what a recipe names is looked for here first
    said = motet("compare", run)
    assert said.code == 1
    assert "the rows of mood, stars are not those it was begun with" in said.err
    assert not record_file(RunFolder(run)).exists()


def test_fewer_training_rows_are_no_reason_to_refuse(motet: Motet, inside: Path, tmp_path: Path) -> None:
    settings = [
        "tasks.mood.source={path: films, rows: {train: 40}}",
        "tasks.stars.source={path: films, rows: {train: 40}}",
    ]
    experiment = load("recipe.yaml", settings).experiment
    start(experiment, tmp_path / "few", folder=inside)
    assert motet("compare", "plain-0", tmp_path / "few", "--out", tmp_path).code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare", "nowhere"], "is no run folder"),
        (["compare", "plain-0", "plain-1", "--baseline", "plian"], "no finished run of a variant `plian`"),
        (["sweep", "stduy.yaml"], "Did you mean `study.yaml`?"),
    ],
)
def test_a_mistake_is_a_sentence(motet: Motet, inside: Path, arguments: list[str], told: str) -> None:
    said = motet(*arguments)
    assert said.code == 1
    assert told in said.err
    assert not said.out


def test_a_run_without_test_rows_cannot_be_compared(motet: Motet, inside: Path, tmp_path: Path) -> None:
    rows = inside / "films" / "train.jsonl"
    settings = [f"tasks.{task}.source={rows}" for task in ("mood", "stars")]
    start(load("recipe.yaml", settings).experiment, tmp_path / "run", folder=inside)
    said = motet("compare", tmp_path / "run")
    assert said.code == 1
    assert "cannot be compared: there are no test rows of mood, stars" in said.err


def wait_for(there: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert there(), process.communicate()


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path: Path, tiny_encoder: Path, motet: Motet, monkeypatch: Any) -> None:
    """SIGKILL for the sweep and for the run that it has at work: the same command finishes both, bit for bit."""
    folder = write_project(tmp_path, tiny_encoder)
    monkeypatch.chdir(folder)
    variants = "{long: {training.steps: 400}, bad: {training.learning_rate: 1.0e+20}}"
    study = f"base: recipe.yaml\nvariants: {variants}\nseeds: [0]\n"
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [*COMMAND, "sweep", "study.yaml", "--out", "out"], env=environment, stderr=subprocess.PIPE, text=True
    )
    runs = folder / "out" / "runs"
    wait_for(lambda: list(runs.glob("long-*/state.json")), process)
    process.kill()
    process.communicate()
    (line,) = (of for of in read_ledger(StudyFolder("out"))["runs"] if of["variant"] == "long")
    assert line["status"] == "running"
    os.kill(line["pid"], signal.SIGKILL)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    said = motet("sweep", "study.yaml", "--out", "out", "--json")
    assert said.code == 1, "one of the runs is bad"
    assert "long seed 0" in said.err
    assert ": resumed" in said.err
    assert "is not finite" in said.err
    assert "1 of 2 runs failed: bad-seed0-" in said.err
    found = json.loads(said.out)
    assert {run["variant"]: run["status"] for run in found["runs"]} == {"long": "finished", "bad": "failed"}
    (run,) = runs.glob("long-*")
    assert "resumed" in [event["event"] for event in RunFolder(run).events()]
    undisturbed = start(load("recipe.yaml", ["training.steps=400", "training.seed=0"]).experiment, "alone")
    for file in ("heads.safetensors", "model.safetensors"):
        assert (run / "model" / file).read_bytes() == (undisturbed.folder.model / file).read_bytes()


def test_the_order_of_the_runs_does_not_matter(motet: Motet, inside: Path) -> None:
    shuffled = random.Random(1).sample(RUNS, len(RUNS))
    found = [json.loads(motet("compare", *runs, "--json", "--baseline", "plain").out) for runs in (RUNS, shuffled)]
    assert found[0]["cells"] == found[1]["cells"]
