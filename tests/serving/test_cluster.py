"""Predictions on a Ray cluster, a real one once, against those without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from tests.serving.served import TASKS, make_model

from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.serving.cluster import Worker, predict_on_ray
from motet.serving.files import predict_file
from motet.serving.rows import answers

WORDS = ["a", "good", "bad", "film", "with", "warm", "heart", "slow", "cold", "train", "lisbon", "leaves", "at", "nine"]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> MultiTaskModel:
    return make_model(tiny_encoder, {name: TASKS[name] for name in ("mood", "size", "within", "order", "hidden")})


@pytest.fixture(scope="module")
def folder(model: MultiTaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save_pretrained(path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """More rows than a worker answers at a time, no two alike; every third has a second text."""
    rows = [
        {"text": f"{WORDS[at % len(WORDS)]} {at}", "other": WORDS[at % 5] if at % 3 == 0 else None}
        for at in range(1500)
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def left_of(mark: str) -> list[str]:
    """What still runs of all that was started with a mark in its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text(errors="replace"))
        except OSError:
            continue
    return found


def rounded(value: Any) -> Any:
    """An answer without its last digits, which depend on what else was in the batch."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


@pytest.mark.slow
def test_answers_are_those_without_ray_and_nothing_is_left_running(
    model: MultiTaskModel, folder: Path, source: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not on this machine")
    mark = uuid4().hex
    command = ["predict", str(folder), "--file", str(source), "--out", str(tmp_path / "out.jsonl"), "--ray", "local"]
    done = subprocess.run(
        [sys.executable, "-c", "from motet.cli.app import main; main()", *command, "--tasks", "mood,size,within"],
        env={**os.environ, "MARK": mark, "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out.jsonl'}\n"), done.stderr
    plain = predict_file(model, source, tmp_path / "plain.jsonl", ["mood", "size", "within"])
    blocks = sorted((tmp_path / "out.jsonl").iterdir())
    found = "".join(block.read_text(encoding="utf-8") for block in blocks).splitlines()
    expected = plain.path.read_text(encoding="utf-8").splitlines()
    for at, (mine, line) in enumerate(zip(found, expected, strict=True)):
        assert json.loads(mine) == rounded(json.loads(line)), at
    assert len({line.partition("}")[0] for line in found}) > 1000, "a change of order would show"
    end = time.monotonic() + 20
    while left_of(mark) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left_of(mark)


def test_a_worker_of_a_cluster_answers_a_table(model: MultiTaskModel, folder: Path) -> None:
    rows = [{"text": f"{WORDS[at % 14]} {at}"} for at in range(70)]
    table = Worker(str(folder), ["mood", "size"])(pa.Table.from_pylist(rows))
    assert table.to_pylist() == list(answers(model, rows, ["mood", "size"]))


def test_a_row_that_no_task_reads_is_told_with_its_place_in_the_block(folder: Path) -> None:
    with pytest.raises(RunError, match="in a block of 2 rows, row 2: an object has title"):
        Worker(str(folder), ["mood"])(pa.Table.from_pylist([{"text": "a", "title": "b"}, {"title": "b"}]))


def test_what_a_cluster_cannot_do(folder: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    out, there = tmp_path / "out.parquet", tmp_path / "there.csv"
    there.mkdir()
    cases = [
        (str(source), out, ["mood"], r"pip install 'motet\[ray\]'"),
        (str(source), out, [], "`order` ranks rows that follow each other"),
        (str(source), out, ["modo"], "Did you mean `mood`"),
        (str(source), there, ["mood"], r"there\.csv is there already"),
        ("none.jsonl", out, ["mood"], "there is no such file"),
        ("in.conll", out, ["mood"], r"--ray reads \.jsonl"),
    ]
    for file, to, tasks, told in cases:
        with pytest.raises(RunError, match=told):
            predict_on_ray(folder, file, to, tasks, "auto")


def test_a_cluster_that_is_not_there(folder: Path, source: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not on this machine")
    with pytest.raises(RunError, match=r"no Ray cluster at `127\.0\.0\.1:1`"):
        predict_on_ray(folder, str(source), tmp_path / "out.parquet", ["mood"], "127.0.0.1:1")
