"""The front page: what it spells twice is the same, and what it lists is complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.docs.pages import BLOCKS, ROOT

import motet
from motet.cli.app import app
from motet.recipe import loads
from motet.recipe.parsing import parse_yaml


def test_the_readme_spells_one_experiment_twice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(motet, "train", lambda tasks, **parts: given.update(parts, tasks=tasks))
    (recipe,) = (block for block in BLOCKS if block.info == "yaml" and block.page == "README.md")
    (python,) = (block for block in BLOCKS if block.info == "python run" and block.page == "README.md")
    exec(compile(python.text.partition("run.scores")[0], python.name, "exec"), {})
    spelled = loads(parse_yaml(recipe.text).data)
    for part in ("schedule", "convergence", "balance", "sampler"):
        assert getattr(spelled, part) == given[part]
    assert spelled.tasks == motet.Experiment(tasks=tuple(given["tasks"])).tasks
    assert (spelled.training.steps, spelled.encoder.name) == (given["steps"], given["encoder"])


def test_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `motet (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
