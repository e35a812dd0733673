"""Each tool itself: a run is written, interrupted and resumed, and read back with what the tool reads it with."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.conftest import FIRST, SECOND

from motet.runs import RunFolder

# A file of W&B holds 7 bytes of its own, and then a log in blocks, with 7 bytes before every piece of a record.
READ_WANDB = """
import struct, sys
from pathlib import Path
from wandb.proto.wandb_internal_pb2 import Record
for file in map(Path, sys.argv[2:]):
    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record, whole = Record.FromString(whole), b""
            values = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            if sys.argv[1] in values:
                print(values["step"], values[sys.argv[1]])
"""
READ_TRACKIO = """
import json, sys, trackio
from trackio.sqlite_storage import SQLiteStorage
(run,) = trackio.Api().runs("motet")
rows = SQLiteStorage.get_logs("motet", run.name, run_id=run.id)
print(json.dumps([run.name, run.config["balance.type"], [row["step"] for row in rows if sys.argv[1] in row]]))
"""
REPOSITORY = Path(__file__).resolve().parents[2]
LOSS = "a b/train/loss"


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"needs {package}")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that no tool finds a login or older runs; nothing answers behind the proxy."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    return tmp_path


def write(name: str, run: RunFolder, *parts: str) -> None:
    """Every part in a process of its own, as a run and its resumption are."""
    for part in parts:
        command = [sys.executable, "-m", "tests.tracking.process", name, str(run.path), part]
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


@needs("tensorboard")
def test_tensorboard_reads_what_was_written(run: RunFolder, follow: Callable[..., Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert not [event for event in follow(FIRST, "tensorboard") if event["event"] == "warning"]
    found = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [(at.step, round(at.value, 3)) for at in found.Scalars(LOSS)] == [(10, 1.0), (20, 0.9), (30, 0.8)]
    assert [(at.step, at.value) for at in found.Scalars("a b/validation/accuracy")] == [(20, 0.5)]
    follow(SECOND, "tensorboard")
    again = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [at.step for at in again.Scalars(LOSS)] == [10, 20, 30, 40], "a step that was done again counts once"
    assert again.Scalars(LOSS)[0].wall_time == pytest.approx(run.events()[1]["time"])


@needs("mlflow")
def test_mlflow_reads_what_was_written(run: RunFolder, elsewhere: Path) -> None:
    write("mlflow", run, "first", "second")
    store = elsewhere / "mlruns"
    identity = json.loads((run.path / "trackers" / "mlflow.json").read_text())["run"]
    (kept,) = (folder for folder in store.glob(f"*/{identity}") if folder.is_dir())
    losses = (kept / "metrics" / "a b" / "train" / "loss").read_text().splitlines()
    assert [tuple(map(float, at.split()[1:3])) for at in losses] == [
        (1, 10),
        (0.9, 20),
        (0.8, 30),
        (0.8, 30),
        (0.7, 40),
    ]
    assert (kept / "params" / "balance.type").read_text() == "sum"
    assert "run_name: first run" in (kept / "meta.yaml").read_text()
    assert "status: 3" in (kept / "meta.yaml").read_text(), "finished"
    program = f"""
from mlflow import MlflowClient
client = MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("motet").experiment_id])
print(run.info.run_id, run.info.status, [at.step for at in client.get_metric_history(run.info.run_id, {LOSS!r})])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{identity} FINISHED [10, 20, 30, 30, 40]"


@needs("wandb")
def test_wandb_writes_offline_and_asks_nothing(run: RunFolder, elsewhere: Path) -> None:
    write("wandb", run, "first", "second")
    identity = json.loads((run.path / "trackers" / "wandb.json").read_text())["run"]
    folders = sorted((run.path / "wandb").glob(f"offline-run-*-{identity}"))
    assert len(folders) == 2, "the same run, in two pieces that `wandb sync` puts together"
    files = [str(file) for folder in folders for file in folder.glob("*.wandb")]
    done = subprocess.run([sys.executable, "-c", READ_WANDB, LOSS, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == ["10 1", "20 0.9", "30 0.8", "30 0.8", "40 0.7"]


@needs("trackio")
def test_trackio_writes_to_its_folder(run: RunFolder, elsewhere: Path) -> None:
    write("trackio", run, "first", "second")
    done = subprocess.run([sys.executable, "-c", READ_TRACKIO, LOSS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["first run", "sum", [10, 20, 30, 30, 40]]


@needs("mlflow")
def test_a_tool_that_cannot_write_is_one_warning(
    run: RunFolder, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "a file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (elsewhere / "a file").as_uri())
    with pytest.raises(AssertionError, match=r"TrackerFailed: `mlflow` stopped, the run goes on"):
        write("mlflow", run, "first")
    assert [event["event"] for event in run.events()].count("warning") == 1
    assert "interrupted" in [event["event"] for event in run.events()]
