"""A folder with a recipe for two tasks that train in a second, with test rows, and a study of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = """\
base: recipe.yaml
variants:
  plain: {}
  uniform: {sampler: uniform}
seeds: [0, 1]
"""


def write_project(folder: Path, encoder: Path) -> Path:
    chance = random.Random(0)
    for split, count in (("train", 80), ("validation", 40), ("test", 60)):
        lines = []
        for number in range(count):
            good = chance.random() < 0.5
            text = "a good film with a warm heart" if good else "a bad film slow and cold"
            mood = good if chance.random() < 0.8 else not good
            row = {
                "text": f"{text} {number}",
                "label": "good" if mood else "bad",
                "stars": 3.0 * good + chance.random(),
            }
            lines.append(json.dumps({"id": f"{split}-{number}", **row}))
        (folder / "films").mkdir(parents=True, exist_ok=True)
        (folder / "films" / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(
        f"encoder: {{name: {encoder}}}\n"
        "tasks:\n"
        "  mood: {type: classification, source: films}\n"
        "  stars: {type: regression, source: films, value: stars}\n"
        "convergence: none\n"
        "training: {steps: 6, tokens_per_batch: 128, check_every: 2, device: cpu, precision: fp32}\n",
        encoding="utf-8",
    )
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOTET_DATA", raising=False)
    return write_project(tmp_path, tiny_encoder)


@pytest.fixture
def write_study(project: Path) -> Callable[[str], Path]:
    """Writes a study file into it."""

    def write(text: str) -> Path:
        (project / "study.yaml").write_text(text, encoding="utf-8")
        return project / "study.yaml"

    return write
