"""Running a command in this process, and seeing what it says where; something small to train on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from motet.cli.app import main


@pytest.fixture
def motet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `motet` with some arguments: its exit code, stdout and stderr."""

    def run(*arguments: object) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=exit_.value.code or 0, out=out, err=err)

    return run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A folder with a recipe for two tasks that train in a second, and their data."""
    folder = tmp_path_factory.mktemp("project")
    chance = random.Random(0)
    rows = ["text,label,stars"]
    for number in range(120):
        good = chance.random() < 0.5
        text = "a good film with a warm heart" if good else "a bad film slow and cold"
        rows.append(f"{text} {number},{'good' if good else 'bad'},{3.0 * good + chance.random():.3f}")
    (folder / "films.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(
        f"encoder: {{name: {tiny_encoder}}}\n"
        "tasks:\n"
        "  mood: {type: classification, source: films.csv}\n"
        "  stars: {type: regression, source: films.csv, value: stars}\n"
        "training: {steps: 8, tokens_per_batch: 128, check_every: 4, device: cpu, precision: fp32}\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, as the working directory."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("MOTET_DATA", raising=False)
    return project
