"""Files in, files out: every format, ranks, bounded memory, and going on after a kill to the very same bytes."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.errors import RunError
from motet.model import MultiTaskModel, build
from motet.serving import files
from motet.serving.files import predict_file
from motet.serving.rows import answers
from motet.tasks import Classification, MultiLabel, Ranking, Regression, Spans, Tagging, Task

Motet = Callable[..., Any]
TASKS: tuple[Task, ...] = (
    Classification("mood", source="s", classes=("no", "yes")),
    MultiLabel("topics", source="s", classes=("film", "rain")),
    Regression("size", source="s", mean=3.0, scale=2.0),
    Tagging("places", source="s", classes=("B-place", "O"), outside="O"),
    Spans("where", source="s", stride=4),
    Ranking("order", source="s", query_id="query_id", highest=1.0),
)
WORDS = ["a", "good", "bad", "film", "with", "warm", "heart", "slow", "cold", "train", "lisbon", "leaves", "at", "nine"]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> MultiTaskModel:
    torch.manual_seed(4)
    return build(Encoder(str(tiny_encoder), max_length=32), HardSharing(), {task.name: task for task in TASKS}).eval()


@pytest.fixture(scope="module")
def folder(model: MultiTaskModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PART", 100)


def row(at: int) -> dict[str, Any]:
    """Five candidates a query."""
    text = " ".join(WORDS[(at * 7 + place) % len(WORDS)] for place in range(1 + at % 6))
    return {"text": text, "query_id": at // 5, "query": "film", "candidate": text}


def write_rows(path: Path, count: int) -> Path:
    path.write_text("".join(f"{json.dumps(row(at))}\n" for at in range(count)), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_answers_are_those_of_the_model_in_the_order_of_the_rows(model: MultiTaskModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", 333)
    told: list[tuple[int, int | None]] = []
    done = predict_file(model, source, tmp_path / "out.jsonl", report=lambda rows, total: told.append((rows, total)))
    assert (done.rows, done.resumed) == (333, 0)
    assert read(done.path) == list(answers(model, map(row, range(333))))
    assert told[0] == (0, 333)
    assert told[-1] == (333, 333)
    assert len(told) == 5
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_table_in_and_a_table_out(model: MultiTaskModel, tmp_path: Path) -> None:
    rows = [row(at) for at in range(250)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    predict_file(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    expected = list(answers(model, rows))
    assert table.column_names == [task.name for task in TASKS]
    for found, answer in zip(table.to_pylist(), expected, strict=True):
        assert {name: part for name, part in found.items() if part is not None} == answer
    assert parquet.ParquetFile(tmp_path / "out.parquet").metadata.num_row_groups == 3


def test_cells_in_and_cells_out(model: MultiTaskModel, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "id"])
        writer.writeheader()
        writer.writerows({"text": f"{row(at)['text']}, {at}", "id": at} for at in range(120))
    predict_file(model, tmp_path / "in.csv", tmp_path / "out.csv", ["mood", "size"])
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    expected = list(answers(model, [f"{row(at)['text']}, {at}" for at in range(120)], ["mood", "size"]))
    assert list(found[0]) == ["mood.label", "mood.scores", "size.value"]
    for cells, answer in zip(found, expected, strict=True):
        assert cells["mood.label"] == answer["mood"]["label"]
        assert json.loads(cells["mood.scores"]) == answer["mood"]["scores"]
        assert float(cells["size.value"]) == answer["size"]["value"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("broken", [1, 2])
def test_going_on_gives_the_same_bytes(
    model: MultiTaskModel, tmp_path: Path, suffix: str, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "in.jsonl", 530)
    whole = predict_file(model, source, tmp_path / f"whole.{suffix}").path.read_bytes()
    out = tmp_path / f"out.{suffix}"
    left = [broken]

    def stop(rows: int, total: int | None) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(model, source, out, report=stop)
    assert not out.exists()
    asked: list[int] = []
    predict = model.predict

    def counted(texts: Any, tasks: Any) -> Any:
        asked.append(len(texts))
        return predict(texts, tasks)

    monkeypatch.setattr(model, "predict", counted)
    done = predict_file(model, source, out)
    assert done.resumed >= 100 * broken
    assert out.read_bytes() == whole
    assert max(asked) <= 64


def test_a_group_that_is_longer_than_parts_and_batches(model: MultiTaskModel, tmp_path: Path) -> None:
    rows = [{**row(at), "query_id": 0 if at < 10 else 1 if at < 300 else 2} for at in range(320)]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(f"{json.dumps(each)}\n" for each in rows), encoding="utf-8")

    def stop(rows: int, total: int | None) -> None:
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(model, source, tmp_path / "out.jsonl", ["order"], report=stop)
    done = predict_file(model, source, tmp_path / "out.jsonl", ["order"])
    assert (done.rows, done.resumed) == (320, 300)
    assert read(done.path) == list(answers(model, rows, ["order"]))


def test_killed_at_any_moment_the_command_goes_on(folder: Path, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", 1500)
    program = (
        "import sys; from motet.serving import files; files._PART = 100; from motet.cli.app import main; "
        "main(['predict', *sys.argv[1:], '--quiet'])"
    )

    def begin(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", program, str(folder), "--file", str(source), "--out", str(tmp_path / out)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    killed = begin("out.parquet")
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("out.parquet.parts/part-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out.parquet").exists()
    again, whole = begin("out.parquet"), begin("whole.parquet")
    for process in (again, whole):
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told.decode()
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert parquet.read_metadata(tmp_path / "out.parquet").num_rows == 1500


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    class Echo:
        tasks: ClassVar[dict[str, Task]] = {"mood": TASKS[0]}

        def predict(self, texts: list[Any], tasks: list[str] | None) -> list[dict[str, Any]]:
            return [{"mood": {"label": "no", "scores": {"no": 0.5, "yes": 0.5}}} for _ in texts]

    def peak(count: int) -> int:
        source = tmp_path / f"in{count}.jsonl"
        source.write_text("a text of some length that is read and forgotten\n" * count, encoding="utf-8")
        tracemalloc.start()
        predict_file(Echo(), source, tmp_path / f"out{count}.jsonl")  # type: ignore[arg-type]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)
    assert peak(6_000) < 1.5 * peak(1_000)


@pytest.mark.parametrize("change", ["rows", "tasks", "model"])
def test_parts_of_something_else_are_not_gone_on_with(
    model: MultiTaskModel, folder: Path, tmp_path: Path, change: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", 400)

    def stop(rows: int, total: int | None) -> None:
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(model, source, tmp_path / "out.jsonl", ["mood"], origin=folder, report=stop)
    if change == "rows":
        write_rows(source, 399)
    tasks = ["size"] if change == "tasks" else ["mood"]
    with pytest.raises(RunError, match=r"out\.jsonl\.parts holds a part of other predictions"):
        predict_file(model, source, tmp_path / "out.jsonl", tasks, origin="" if change == "model" else folder)


def test_what_cannot_be_predicted(model: MultiTaskModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", 3)
    out = tmp_path / "out.jsonl"
    cases: list[tuple[Path, Path, list[str], str]] = [
        (tmp_path / "none.jsonl", out, [], "there is no such file"),
        (source, tmp_path / "out.xml", [], r"answers are written to files that end in one of .jsonl .ndjson .csv"),
        (source, source, [], "is there already"),
        (source, out, ["mod"], "Did you mean `mood`"),
    ]
    for given, to, tasks, told in cases:
        with pytest.raises(RunError, match=told):
            predict_file(model, given, to, tasks)
    (tmp_path / "in.xml").write_text("<a/>", encoding="utf-8")
    (tmp_path / "in.parquet").write_text("no table", encoding="utf-8")
    with pytest.raises(RunError, match="rows are read from files that end in one of"):
        predict_file(model, tmp_path / "in.xml", tmp_path / "out.csv")
    with pytest.raises(RunError, match=r"in\.parquet cannot be read"):
        predict_file(model, tmp_path / "in.parquet", tmp_path / "o.csv")


def test_a_row_is_named_by_its_number_after_going_on_too(model: MultiTaskModel, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", 300)
    with source.open("a", encoding="utf-8") as file:
        file.write('{"title": "t"}\n')
    for _ in range(2):
        with pytest.raises(RunError, match="row 301: an object has title"):
            predict_file(model, source, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl.parts").exists()


def test_the_command(motet: Motet, folder: Path, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", 20)
    said = motet("predict", folder, "--file", source, "--out", tmp_path / "out.csv", "--tasks", "mood")
    assert (said.code, said.out, said.err) == (0, f"{tmp_path / 'out.csv'}\n", "20 rows answered\n")
    assert motet("predict", folder, "a text", "--out", tmp_path / "x.csv").code == 2
    assert motet("predict", folder, "--file", source, "--ray", "auto").code == 2
