"""A sweep of runs that take milliseconds: what is done once is done, what breaks is told, what is stopped goes on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motet.errors import RunError
from motet.study import sweep as module
from motet.study.definition import Study, read_study
from motet.study.ledger import StudyFolder, read_ledger
from motet.study.planning import Entry, Unit
from motet.study.processes import Here, Log, Process
from motet.study.sweep import sweep
from motet.training.run import Interrupted

STAND_IN = Path(__file__).with_name("stand_in.py")
Begin = Callable[..., dict[str, str]]


def plan(study: Study) -> list[Unit]:
    """Entries without recipes."""

    def entries(variant: str, settings: tuple[str, ...]) -> Iterator[Entry]:
        for seed in study.seeds:
            content = hashlib.sha256(f"{settings} {seed}".encode()).hexdigest()[:12]
            name = f"{variant}-seed{seed}-{content[:8]}"
            yield Entry(name, variant, "", seed, (*settings, f"training.seed={seed}"), content)

    return [
        Unit(name, "", tuple(tuple(entries(name, (*own, *found))) for found in study.search))
        for name, own in study.variants.items()
    ]


@pytest.fixture
def begin(project: Path, write_study: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Sweeps a study, given by what stands below `base`, with runs that are none."""
    python = [sys.executable, str(STAND_IN)]
    monkeypatch.setattr(module, "plan_study", plan)
    monkeypatch.setattr(module, "motet_command", lambda *words: [*python, *words])
    monkeypatch.setattr(module, "scoring_command", lambda run: [*python, "score", str(run)])
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(module, "_WAIT", 0.05)

    def run(text: str, jobs: int = 2, ray: str = "", tell: Callable[[str], None] = lambda line: None) -> dict[str, str]:
        return sweep(write_study(f"base: recipe.yaml\n{text}"), project / "out", jobs=jobs, ray=ray, tell=tell)

    return run


def events(project: Path, name: str) -> list[dict[str, Any]]:
    return StudyFolder(project / "out").run(name).events()


def lines(project: Path) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in read_ledger(StudyFolder(project / "out"))["runs"]}


def test_every_run_is_trained_and_tested_once(project: Path, begin: Begin) -> None:
    told: list[str] = []
    found = begin("variants: {a: {}, b: {quality: 0.9}}\nseeds: [0, 1]\n", tell=told.append)
    assert set(found.values()) == {"finished"}
    assert len(found) == 4
    for name in found:
        kinds = [event["event"] for event in events(project, name)]
        assert kinds.count("end") == kinds.count("evaluation") == kinds.count("plan") == 1
    assert {line["status"] for line in lines(project).values()} == {"finished"}
    assert told[0] == "4 runs, 0 of them done, 2 at a time"
    assert told[-1].startswith("[4/4] ")
    again: list[str] = []
    assert begin("variants: {a: {}, b: {quality: 0.9}}\nseeds: [0, 1]\n", tell=again.append) == found
    assert again == ["4 runs, 4 of them done, 2 at a time"]


def test_a_seed_of_all_variants_comes_before_the_next(project: Path, begin: Begin) -> None:
    told: list[str] = []
    begin("variants: {a: {}, b: {}}\nseeds: [0, 1]\n", jobs=1, tell=told.append)
    assert [line[:8] for line in told if "started" in line] == ["a seed 0", "b seed 0", "a seed 1", "b seed 1"]


def test_a_run_that_fails_does_not_stop_the_others(project: Path, begin: Begin) -> None:
    told: list[str] = []
    found = begin("variants: {a: {}, bad: {behave: fail}}\nseeds: [0, 1]\n", tell=told.append)
    failed = {name: outcome for name, outcome in found.items() if outcome != "finished"}
    assert len(failed) == 2
    assert all(name.startswith("bad") and "is not finite" in outcome for name, outcome in failed.items())
    assert sum("FAILED: the loss of `mood` is not finite" in line for line in told) == 2
    line = lines(project)[min(failed)]
    assert (line["status"], line["error"]) == ("failed", "the loss of `mood` is not finite")


def test_a_run_that_was_killed_is_resumed(project: Path, begin: Begin) -> None:
    found = begin("variants: {a: {behave: die}}\nseeds: [0]\n")
    ((name, outcome),) = found.items()
    assert outcome == "ended with code -9 and without a word"
    assert begin("variants: {a: {behave: die}}\nseeds: [0]\n") == {name: "finished"}
    assert "resumed" in [event["event"] for event in events(project, name)]


def test_a_run_is_scored_that_was_trained_before(project: Path, begin: Begin) -> None:
    ((name, _),) = begin("variants: {a: {}}\nseeds: [0]\n").items()
    (project / "out" / "runs" / name / "test.parquet").unlink()
    assert begin("variants: {a: {}}\nseeds: [0]\n") == {name: "finished"}
    kinds = [event["event"] for event in events(project, name)]
    assert (kinds.count("end"), kinds.count("evaluation")) == (1, 2)


def test_validation_chooses_and_only_the_chosen_are_tested(project: Path, begin: Begin) -> None:
    text = "variants: {a: {}, b: {}}\nseeds: [0, 1]\nsearch: {quality: [0.5, 0.8, 0.6]}\n"
    found = begin(text)
    assert len(found) == 2 * (3 + 1)
    chosen = {name: line for name, line in lines(project).items() if line["chosen"]}
    assert len(chosen) == 4
    assert all("quality=0.8" in line["settings"] for line in chosen.values())
    for name in found:
        tested = any(event["event"] == "evaluation" for event in events(project, name))
        assert tested == (name in chosen)
    assert {line["status"] for line in lines(project).values()} == {"finished"}


def test_a_trial_that_fails_is_not_chosen(project: Path, begin: Begin) -> None:
    found = begin('variants: {a: {}}\nseeds: [0]\nsearch: {quality: [0.5, 0.6], behave: ["", fail]}\n')
    assert sorted(outcome == "finished" for outcome in found.values()) == [False, False, True, True]
    (line,) = (line for line in lines(project).values() if line["chosen"])
    assert "quality=0.6" in line["settings"]


def test_where_all_trials_fail_the_variant_is_left_out(project: Path, begin: Begin) -> None:
    found = begin("variants: {a: {}, b: {behave: fail}}\nseeds: [0, 1]\nsearch: {quality: [0.5, 0.6]}\n")
    assert sum(outcome == "finished" for outcome in found.values()) == 3
    assert all(line["variant"] == "a" for line in lines(project).values() if line["chosen"])


def test_runs_of_an_older_study_stay_in_the_list(project: Path, begin: Begin) -> None:
    old = begin("variants: {a: {quality: 0.1}}\nseeds: [0]\n")
    new = begin("variants: {a: {quality: 0.2}}\nseeds: [0]\n")
    planned = {name: line["planned"] for name, line in lines(project).items()}
    assert planned == {**dict.fromkeys(old, False), **dict.fromkeys(new, True)}


def test_the_cores_are_divided(project: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Here()
    machine.cores = 8
    monkeypatch.setattr(module, "Here", lambda: machine)
    monkeypatch.delenv("OMP_NUM_THREADS")
    begin("variants: {a: {behave: die}}\nseeds: [0]\n", jobs=3)
    (name,) = lines(project)
    manifest = json.loads((project / "out" / "runs" / name / "manifest.json").read_text())
    assert manifest["threads"] == 2


def wait_for(there: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 60
    while not there() and time.monotonic() < deadline:
        assert process is None or process.poll() is None
        time.sleep(0.02)
    assert there()


@pytest.mark.usefixtures("interrupts")
def test_signals_are_passed_on_once(project: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told: list[str] = []

    def interrupt() -> None:
        wait_for(lambda: list((project / "out" / "runs").glob("*/slow")))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted, match="Stopped; 0 of 2 runs are done"):
        begin("variants: {a: {behave: slow}}\nseeds: [0, 1]\n", jobs=1, tell=told.append)
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "Stopping: the runs save their work. Once more kills them." in told
    assert sorted(line["status"] for line in lines(project).values()) == ["interrupted", "waiting"]
    resumed: list[str] = []
    for name in lines(project):
        run = project / "out" / "runs" / name
        run.mkdir(exist_ok=True)
        (run / "release").touch()
    found = begin("variants: {a: {behave: slow}}\nseeds: [0, 1]\n", jobs=2, tell=resumed.append)
    assert set(found.values()) == {"finished"}
    assert sum("resumed" in line for line in resumed) == 1


def test_one_sweep_at_a_time(project: Path, begin: Begin) -> None:
    with StudyFolder(project / "out").held(), pytest.raises(RunError, match="Another `motet sweep` is working"):
        begin("variants: {a: {}}\nseeds: [0]\n")


def test_a_run_that_outlived_its_sweep_is_waited_for(project: Path, begin: Begin) -> None:
    text = "variants: {a: {behave: slow}}\nseeds: [0]\n"
    (project / "study.yaml").write_text(f"base: recipe.yaml\n{text}", encoding="utf-8")
    ((entry,),) = plan(read_study(project / "study.yaml"))[0].candidates
    folder = StudyFolder(project / "out")
    run = folder.run(entry.name).path
    command = [sys.executable, str(STAND_IN), "train", "recipe.yaml", *entry.settings, "--out", str(run)]
    left = Process(command, Log(folder.log(entry.name)), {"OMP_NUM_THREADS": "1"})
    wait_for((run / "slow").exists)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if "still at work" in line:
            (run / "release").touch()

    assert begin(text, tell=tell) == {entry.name: "finished"}
    assert left.code == 0
    assert sum("still at work since an earlier sweep" in line for line in told) == 1
    assert [event["event"] for event in events(project, entry.name)].count("end") == 1


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray keeps what it writes below the folder of the test, and asks no one."""
    for name, value in (("HOME", str(tmp_path)), ("RAY_AUTH_MODE", "disabled"), ("RAY_USAGE_STATS_ENABLED", "0")):
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("no_token")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Ray's own sockets and processes
def test_a_cluster_does_the_same(project: Path, begin: Begin) -> None:
    pytest.importorskip("ray", reason="needs Ray")
    text = "variants: {a: {}, bad: {behave: fail}, gone: {behave: die}}\nseeds: [0]\n"
    told: list[str] = []
    found = {name.partition("-")[0]: outcome for name, outcome in begin(text, ray="local", tell=told.append).items()}
    assert found["a"] == "finished"
    assert "is not finite" in found["bad"]
    assert found["gone"] == "ended with code -9 and without a word"
    assert told[0] == "3 runs, 0 of them done, 2 at a time"
    again = {name.partition("-")[0]: outcome for name, outcome in begin(text, ray="local").items()}
    assert (again["a"], again["gone"]) == ("finished", "finished")


def test_a_cluster_that_is_not_there(begin: Begin) -> None:
    pytest.importorskip("ray", reason="needs Ray")
    with pytest.raises(RunError, match="no Ray cluster at"):
        begin("variants: {a: {}}\n", ray="127.0.0.1:1")


def test_a_cluster_without_ray(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"pip install 'motet\[ray\]'"):
        begin("variants: {a: {}}\n", ray="auto")
