"""demo, init, fill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motet.cli import start
from motet.data.sources import Source
from motet.encoders import DEFAULT_ENCODER, Encoder
from motet.recipe import load
from motet.tasks import Classification
from motet.training import Experiment, Training

Motet = Callable[..., Any]


def test_the_demo_is_five_tasks_on_the_bundled_source() -> None:
    experiment = start._demo_experiment(steps=7, seed=3)
    assert [task.source.path for task in experiment.tasks] == ["docstrings"] * 5
    assert (experiment.training.steps, experiment.training.seed) == (7, 3)
    assert experiment.encoder.name == DEFAULT_ENCODER


def test_the_demo_trains_scores_and_writes_a_report(
    motet: Motet, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"a {'good' if n % 2 else 'bad'} film {n}", "label": "ab"[n % 2]} for n in range(40)]
    source = Source({"train": rows, "test": rows[:10]})

    def small(steps: int, seed: int) -> Experiment:
        training = Training(steps=steps, seed=seed, device="cpu", precision="fp32", tokens_per_batch=64)
        return Experiment(
            tasks=(Classification("mood", source=source),), encoder=Encoder(str(tiny_encoder)), training=training
        )

    monkeypatch.setattr(start, "_demo_experiment", small)
    for folder in ("demo", "demo-2", "demo-3"):
        said = motet("demo", "--steps", 2, "--out", tmp_path / "demo", "--quiet")
        report = tmp_path / folder / "report.html"
        assert said.code == 0
        assert said.out.splitlines()[-1] == f"report: {report}"
        assert said.out.startswith("mood  accuracy")
        assert "motet predict" in said.err
        assert "motet init" in said.err
        assert "accuracy" in report.read_text(encoding="utf-8")


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOTET_DATA", raising=False)
    rows = "review,stars\n" + "".join(f"text number {n},{n % 5}\n" for n in range(50))
    Path("reviews.csv").write_text(rows, encoding="utf-8")
    return Path("reviews.csv")


def test_init_writes_a_recipe_and_tells_its_guess(motet: Motet, reviews: Path) -> None:
    said = motet("init", reviews)
    assert (said.code, said.out) == (0, "recipe.yaml\n")
    assert "guessed a classification (text review, label stars)" in said.err
    assert "motet check recipe.yaml --data" in said.err
    assert [task.name for task in load("recipe.yaml").experiment.tasks] == ["reviews"]


def test_init_never_writes_over_a_file_unless_forced(motet: Motet, reviews: Path) -> None:
    Path("recipe.yaml").write_text("mine", encoding="utf-8")
    said = motet("init", reviews)
    assert said.code == 1
    assert "is there already" in said.err
    assert Path("recipe.yaml").read_text(encoding="utf-8") == "mine"
    assert motet("init", reviews, "--force").code == 0
    assert Path("recipe.yaml").read_text(encoding="utf-8").startswith("sources:")


def test_init_to_another_folder_and_to_stdout(motet: Motet, reviews: Path) -> None:
    assert motet("init", reviews, "--out", "deep/er/recipe.yaml").code == 0
    loaded = load("deep/er/recipe.yaml")
    assert (loaded.folder / "../../reviews.csv").exists()
    said = motet("init", reviews, "--out", "-")
    assert said.out.startswith("sources:\n  reviews: {path: reviews.csv}\n")
    assert not Path("recipe.yaml").exists()


def test_init_of_nothing_to_learn(motet: Motet, reviews: Path) -> None:
    Path("plain.csv").write_text("text\n" + "".join(f"t {n}\n" for n in range(20)), encoding="utf-8")
    said = motet("init", "plain.csv")
    assert said.code == 1
    assert "no task in this data" in said.err
    assert not Path("recipe.yaml").exists()


def test_fill_prints_a_recipe_that_loads(motet: Motet, reviews: Path) -> None:
    motet("init", reviews)
    said = motet("fill", "recipe.yaml")
    assert (said.code, said.err) == (0, "")
    Path("filled.yaml").write_text(said.out, encoding="utf-8")
    assert load("filled.yaml").experiment == load("recipe.yaml").experiment
    assert "# optimiser steps" in said.out


def test_fill_prints_the_schema(motet: Motet) -> None:
    assert json.loads(motet("fill", "--schema").out)["required"] == ["tasks"]


def test_fill_of_a_broken_recipe(motet: Motet, reviews: Path) -> None:
    Path("broken.yaml").write_text("tasks: {a: {type: taging, source: x}}\n", encoding="utf-8")
    said = motet("fill", "broken.yaml")
    assert (said.code, said.out) == (1, "")
    assert "Did you mean `tagging`?" in said.err
