"""The comparison with peers: what they are given, motet's own side of it, and the table. No peer is installed here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.benchmarks.conftest import programs
from tests.training.conftest import source
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from motet.encoders import Encoder
from motet.errors import DataError, RecipeError
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.training.experiment import Experiment

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
MOST = {"train": 40, "validation": 20, "test": 15}
NAMES = ("compare", "export_tasks", "given", "table", "with_motet")


@pytest.fixture(autouse=True)
def modules() -> Iterator[dict[str, ModuleType]]:
    with programs(PEERS, NAMES) as found:
        yield found


@pytest.fixture
def experiment(tiny_encoder: Path) -> Experiment:
    tasks = (
        Classification("mood", source=source(), label="mood", metric="macro_f1"),
        Classification("within", source=source(), text=("other", "text"), label="within"),
    )
    return Experiment(tasks=tasks, encoder=Encoder(str(tiny_encoder), max_length=32))


@pytest.fixture
def data(experiment: Experiment, tmp_path: Path, modules: Any) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    modules["export_tasks"].export(experiment, None, folder, MOST)
    return folder


def test_what_is_exported_can_be_read(data: Path, modules: Any) -> None:
    given = modules["given"].read(data)
    mood, within = given.tasks
    assert (mood.labels, mood.pair, mood.metric) == (("no", "yes"), False, "macro_f1")
    assert (within.columns, within.metric) == (("first", "second"), "accuracy")
    assert {split: len(mood.rows(split)) for split in MOST} == MOST
    for row in mood.rows("train"):
        assert row.label == ("good" in row.texts[0].split())
    for row in within.rows("test"):
        assert row.label == (row.texts[0] in row.texts[1].split())
    tokenizer = AutoTokenizer.from_pretrained(given.encoder)
    lengths = [len(tokenizer(*row.texts)["input_ids"]) for row in within.rows("train")]
    assert within.tokens == pytest.approx(sum(lengths) / len(lengths))
    assert given.tokens == pytest.approx((mood.tokens + within.tokens) / 2)


def test_a_second_export_takes_the_place_of_the_first(experiment: Experiment, data: Path, modules: Any) -> None:
    first = modules["given"].read(data).digest
    export = modules["export_tasks"].export
    assert export(experiment, None, data, MOST) == first
    assert export(experiment, None, data, {**MOST, "test": 10}) != first
    assert len(modules["given"].read(data).tasks[0].rows("test")) == 10


def test_an_encoder_is_cut_as_the_recipe_says(experiment: Experiment, tmp_path: Path, modules: Any) -> None:
    encoder = Encoder(experiment.encoder.name, layers=1, max_length=32)
    modules["export_tasks"].export(Experiment(tasks=experiment.tasks, encoder=encoder), None, tmp_path / "cut", MOST)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "cut" / "encoder")
    assert len(model.base_model.encoder.layer) == 1


@pytest.mark.parametrize(
    ("task", "rule"),
    [
        (Regression("count", source=source(), value="count"), "must be classification"),
        (Classification("mood", source=source(), text="tokens", label="mood", words=True), "must be false"),
        (Classification("mood", source=source(), label="mood", label_smoothing=0.1), "must be 0"),
    ],
)
def test_a_task_that_peers_cannot_learn_is_refused(
    task: Task, rule: str, experiment: Experiment, tmp_path: Path, modules: Any
) -> None:
    with pytest.raises(RecipeError, match=rule):
        modules["export_tasks"].export(
            Experiment(tasks=(task,), encoder=experiment.encoder), None, tmp_path / "data", MOST
        )
    assert not (tmp_path / "data").exists()


def test_a_task_without_test_rows_is_refused(experiment: Experiment, tmp_path: Path, modules: Any) -> None:
    rows = {split: of for split, of in source().items() if split != "test"}
    task = Classification("mood", source=rows, label="mood")
    with pytest.raises(DataError, match="has no labelled test row"):
        modules["export_tasks"].export(
            Experiment(tasks=(task,), encoder=experiment.encoder), None, tmp_path / "data", MOST
        )


def test_the_tasks_of_docstrings_are_ones_that_peers_can_learn(modules: Any) -> None:
    tasks = modules["export_tasks"].docstring_tasks()
    assert len({task.name for task in tasks}) == 5
    assert not [problem for task in tasks for problem in modules["export_tasks"]._task_problems(task)]


def test_the_side_of_motet_runs_and_is_scored(data: Path, tmp_path: Path, modules: Any) -> None:
    given = modules["given"].read(data)
    arguments = [str(data), str(tmp_path / "out"), "--tokens", "600", "--step", "120", "--seed", "1"]
    modules["with_motet"].main(arguments)
    measured = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert measured["steps"] == 5
    assert measured["real"] == pytest.approx(600, rel=0.1)
    assert measured["real"] <= measured["padded"]
    assert measured["cpu"] > 0
    assert measured["seconds"] > 0
    assert measured["checks"] >= 0
    answers = json.loads((tmp_path / "out" / "answers.json").read_text())
    assert [len(answers["test"][task.name]) for task in given.tasks] == [15, 15]
    scores = modules["compare"].scored(given, answers)
    within = given.tasks[1].rows("test")
    right = sum(guess == row.label for guess, row in zip(answers["test"]["within"], within, strict=True))
    assert scores["test"]["within"] == pytest.approx(right / 15)


def test_the_answers_of_motet_are_those_of_its_model(data: Path, tmp_path: Path, modules: Any) -> None:
    import motet

    modules["with_motet"].main([str(data), str(tmp_path / "out"), "--tokens", "300", "--step", "100"])
    model = motet.load(tmp_path / "out" / "run" / "model")
    task = modules["given"].read(data).tasks[1]
    answers = json.loads((tmp_path / "out" / "answers.json").read_text())["test"]["within"]
    told = [model.predict(row.texts)["within"]["label"] for row in task.rows("test")]
    assert [task.labels[number] for number in answers] == told


def test_the_meter_counts_what_is_learnt_from_and_nothing_else(data: Path, modules: Any) -> None:
    given = modules["given"].read(data)
    model = AutoModelForSequenceClassification.from_pretrained(given.encoder)
    tokenizer = AutoTokenizer.from_pretrained(given.encoder)
    meter = modules["given"].Meter(model.base_model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = tokenizer(["rain", "good film in london"], padding=True, return_tensors="pt")
    with pytest.raises(SystemExit, match="Nothing was learnt"):
        meter.plain()
    for _ in range(2):
        model(**batch).logits.sum().backward()
        optimiser.step()
    with torch.inference_mode():
        model(**batch)
    found = meter.plain()
    real = int(batch["attention_mask"].sum())
    assert (found["real"], found["padded"]) == (2 * real, 2 * batch["input_ids"].numel())
    assert (found["rows"], found["steps"]) == (4, 2)
    assert found["seconds"] > 0


def test_answers_come_in_the_order_of_the_rows(data: Path, modules: Any) -> None:
    given = modules["given"].read(data)

    def knows(task: Any, rows: list[Any]) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([row.label for row in rows]), len(task.labels)).float()

    answers = modules["given"].answers(given, knows)
    assert all(answers["test"][task.name] == [row.label for row in task.rows("test")] for task in given.tasks)
    scores = modules["compare"].scored(given, answers)
    assert set(scores["validation"].values()) == {1.0}


def test_every_row_comes_once_before_any_comes_again(modules: Any) -> None:
    places = modules["given"].Endless(5, 13, seed=3)
    drawn = list(places)
    assert len(drawn) == len(places) == 13
    assert sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5))
    assert drawn[:5] != drawn[5:10]
    assert drawn == list(places)


def test_seeds_take_turns_and_each_begins_elsewhere(modules: Any) -> None:
    compare = modules["compare"]
    found = compare.turns(["motet", "libmtl", "torchjd"], [0, 1], "bf16", 200)
    first, second = found[:6], found[6:]
    assert {turn.seed for turn in first} == {0}
    assert {turn.seed for turn in second} == {1}
    assert {turn._replace(seed=0) for turn in second} == set(first)
    assert (first[0].library, second[0].library) == ("motet", "libmtl")
    assert [(turn.library, turn.precision) for turn in first if turn.box] == [
        ("motet", "bf16"),
        ("libmtl", "fp32"),
        ("torchjd", "fp32"),
    ]
    assert [turn.step for turn in first if turn.library == "motet"] == [None, None, 200]


def test_a_whole_comparison_and_what_does_not_run(
    experiment: Experiment, tmp_path: Path, modules: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    compare = modules["compare"]
    asked = [compare.Turn("motet", "fp32", 0, True, 50), compare.Turn("libmtl", "fp32", 0, True)]
    monkeypatch.setattr(compare, "chosen", lambda recipe, data, layers: experiment)
    monkeypatch.setattr(compare, "turns", lambda *_: asked)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    arguments = [str(tmp_path), "--seeds", "0", "--tokens", "200", "--train-rows", "30", "--held-rows", "10"]
    compare.main(arguments)
    page = capsys.readouterr().out
    ours, theirs = compare.recorded(tmp_path / "lines.jsonl")
    assert (ours["library"], ours["steps"], ours["threads"]) == ("motet", 4, 1)
    assert set(ours["scores"]["test"]) == {"mood", "within"}
    assert "No such file" in theirs["error"]
    assert theirs["error"] in page.partition("## What did not run")[2]
    assert "steps of 50 | float32 |" in page
    compare.main(arguments)
    lines = compare.recorded(tmp_path / "lines.jsonl")
    assert [line["library"] for line in lines[2:]] == ["libmtl"], "what failed is tried again, and nothing else"


def test_another_library_cannot_speed_up_a_run(modules: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = modules["compare"]._surroundings(Path("build"))
    assert "MALLOC_TRIM_THRESHOLD_" not in found
    assert (found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"]) == ("1", "")


def line(library: str, seed: int, seconds: float, precision: str = "fp32", **more: Any) -> dict[str, Any]:
    plain = {
        "library": library,
        "precision": precision,
        "seed": seed,
        "box": precision == "fp32" or library == "motet",
        "step": None,
        "given": "abc",
        "budget": 1000,
        "data": "docstrings",
        "rate": 1e-4,
        "layers": None,
        "machine": {"processor": "a processor", "cores": 2, "python": "3.11"},
        "real": 1000,
        "padded": 1250,
        "seconds": seconds,
        "cpu": seconds,
        "checks": 0.0,
        "version": "1",
        "versions": {"torch": "2"},
        "scores": {"validation": {"a": 0.5, "b": 0.7}, "test": {"a": 0.4, "b": 0.8}},
    }
    return {**plain, **more}


def test_the_table(tmp_path: Path, modules: Any) -> None:
    lines = [
        line("motet", 0, 1.0, "bf16"),
        line("motet", 1, 1.0, "bf16"),
        line("motet", 0, 2.0, box=False),
        line("motet", 1, 2.0, box=False),
        line("motet", 0, 2.5, box=False, step=200),
        line("slow", 0, 8.0),
        line("slow", 1, 8.0),
        line("quick", 0, 2.5),
        line("quick", 1, 3.5),
        {**{k: v for k, v in line("broken", 0, 1.0).items() if k not in ("scores", "versions")}, "error": "it broke"},
    ]
    page = modules["table"].page(lines)
    verdicts = page.partition("## Against the fastest peer")[2]
    box, float32 = "3.00 (2.50 to 3.50)", "1.50 (1.25 to 1.75)"
    assert f"as each comes out of its box: {box} times quick, {box} by CPU seconds; the goal of 2.5 is met." in verdicts
    assert f"in float32: {float32} times quick, {float32} by CPU seconds; the goal of 1.2 is met." in verdicts
    assert "in bfloat16:" not in page
    box = page.partition("## Out of the box")[2].partition("##")[0]
    assert [row.split(" | ")[0] for row in box.splitlines() if row.startswith("| ")][1:] == [
        "| ---",
        "| motet 1",
        "| quick 1",
        "| slow 1",
    ]
    assert (
        "| slow 1 | float32 | 125 ± 0 | 8.00 (8.00 to 8.00) | 125 ± 0 | 1,000 | 20 % | 60.0 ± 0.0 | 60.0 ± 0.0 | 0 % |"
        in box
    )
    assert "| motet 1, steps of 200 | float32 | 400 | 1.25 |" in page
    assert "| broken | float32 | `it broke` |" in page
    assert "**missed**" in modules["table"].page([*lines, line("quick", 0, 1.0), line("quick", 1, 1.0)])


def test_the_table_of_a_file_takes_the_last_comparison(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    lines = [line("old", 0, 1.0, given="other"), line("motet", 0, 1.0), line("new", 0, 2.0)]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    done = subprocess.run(
        [sys.executable, str(PEERS / "table.py"), str(file)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "new" in done.stdout
    assert "| old 1" not in done.stdout


def test_what_peers_share_asks_for_nothing_of_motet() -> None:
    code = "import sys, given; assert not [name for name in sys.modules if name.partition('.')[0] == 'motet']"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(PEERS)})
    for file in set(PEERS.glob("with_*.py")) - {PEERS / "with_motet.py"}:
        assert not re.search(r"^(import|from) motet", file.read_text(encoding="utf-8"), re.MULTILINE), file
