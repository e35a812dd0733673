"""A working directory as the pages take it for granted: data, recipes, a study, finished and interrupted runs."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from motet import registry
from motet.cli.app import main
from motet.encoders import loading
from motet.recipe import load
from motet.runs import Event, RunFolder
from motet.study import processes
from motet.study.scoring import score_run
from motet.training.experiment import Experiment
from motet.training.run import start

SPLITS = ("train", "validation", "test")
SMALL = "training: {steps: 2, tokens_per_batch: 160, check_every: 1, device: cpu, precision: fp32}\n"
TASKS = {
    "recipe.yaml": "  emotion: {type: classification, source: data/emotion}\n"
    "  entities: {type: tagging, source: data/wnut17, tokens: tokens, labels: tags}\n",
    "alone.yaml": "  emotion: {type: classification, source: data/emotion}\n",
    "shop.yaml": "  topic: {type: classification, source: data/reviews, label: shop}\n"
    "  mood: {type: classification, source: data/reviews}\n",
    "demo.yaml": "  area: {type: classification, source: data/library, label: area}\n"
    "  kind: {type: classification, source: data/library, label: kind}\n"
    "  name_match: {type: classification, source: data/library, text: [name, text], label: belongs}\n",
}
STUDY = "base: recipe.yaml\nvariants: {sum: {}, uncertainty: {balance: uncertainty}}\nseeds: [0]\n"
SHOP = {"docs/guides/predict.md", "docs/guides/export.md", "docs/guides/publish.md"}  # their tasks are topic and mood
RUNS = {  # how a run that a page speaks of was made
    "runs/first": ["recipe.yaml"],
    "runs/interrupted": ["recipe.yaml"],
    "runs/demo": ["demo.yaml"],
    "runs/shop": ["shop.yaml"],
    "runs/plain-0": ["recipe.yaml"],
    "runs/plain-1": ["recipe.yaml", "training.seed=1"],
    "runs/other-0": ["recipe.yaml", "sampler=uniform"],
    "runs/other-1": ["recipe.yaml", "sampler=uniform", "training.seed=1"],
    "runs/together-0": ["recipe.yaml"],
    "runs/together-1": ["recipe.yaml", "training.seed=1"],
    "runs/alone-0": ["alone.yaml"],
    "runs/alone-1": ["alone.yaml", "training.seed=1"],
}


def tables(first: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Rows by the name of a folder in `data`, others for another first number."""
    numbers = range(first, first + 12)
    emotion = [{"text": f"a {mood} film {i}", "label": mood} for i in numbers for mood in ("good", "bad")]
    tagged = [
        {"tokens": [name, "met", "Ben", str(i)], "tags": ["B-person", "O", "B-person", "O"]}
        for i in numbers
        for name in ("Anna", "Paul")
    ]
    news = [{**row, "article": row["text"], "headline": row["label"], "target": row["label"]} for row in emotion]
    library = [
        {**row, "name": f"film {row['label']}", "area": row["label"], "kind": row["label"], "belongs": row["label"]}
        for row in emotion
    ]
    reviews = [{**row, "shop": ("books", "toys")[i // 2 % 2]} for i, row in enumerate(emotion)]
    named = {"wnut17": tagged, "names": tagged}
    return {"emotion": emotion, "reviews": reviews, "news": news, "library": library, **named}


def write_project(folder: Path, encoder: Path) -> Path:
    for place, split in enumerate(SPLITS):
        for name, rows in tables(100 * place).items():
            file = folder / "data" / name / f"{split}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            marked = [{"id": f"{split}-{number}", **row} for number, row in enumerate(rows)]
            file.write_text("".join(json.dumps(row) + "\n" for row in marked), encoding="utf-8")
    for name, tasks in TASKS.items():
        text = f"encoder: {{name: {encoder.as_posix()}}}\ntasks:\n{tasks}{SMALL}"
        folder.joinpath(name).write_text(text, encoding="utf-8")
    folder.joinpath("study.yaml").write_text(STUDY, encoding="utf-8")
    folder.joinpath("texts.txt").write_text("what a day in Lisbon\nrain\n", encoding="utf-8")
    shutil.copy(folder / "data" / "reviews" / "test.jsonl", folder / "reviews.jsonl")
    with folder.joinpath("reviews.csv").open("w", newline="", encoding="utf-8") as table:
        lines = csv.DictWriter(table, ["text", "label"])
        lines.writeheader()
        lines.writerows(tables()["emotion"])
    return folder


def motet(*words: str) -> None:
    """A command in this process; one that does not end well fails the test."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code, shlex_join(words)


def shlex_join(words: tuple[str, ...]) -> str:
    return " ".join(("motet", *words))


def interrupted(experiment: Experiment, out: Path) -> None:
    """Begin a run and break it off behind its first checkpoint."""

    def stop(event: Event) -> None:
        if event["event"] == "checkpoint":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(experiment, out, folder=Path.cwd(), listeners=[stop])


class AtOnce:
    """Stands in for a process of a sweep: does here what it would do, and has ended when it is made."""

    pid = os.getpid()

    def __init__(self, command: list[str], stdout: IO[bytes], env: dict[str, str], **settings: object) -> None:
        with redirect_stdout(io.TextIOWrapper(stdout, write_through=True)) as out:
            try:
                score_run(RunFolder(command[-1])) if "motet.study.scoring" in command else main(command[3:])
                self.code = 0
            except SystemExit as ended:
                self.code = int(ended.code or 0)
            out.detach()

    def poll(self) -> int:
        return self.code

    wait = poll


HERE = SimpleNamespace(Popen=AtOnce, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)


class World:
    """Makes each run and study once, when a page first speaks of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def provide(self, path: str, project: Path, name: str = "") -> None:
        """Put a run or a study into a project, under its name or another one, unless it is there."""
        if not (self.folder / path).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(self.folder)
                patch.setattr(processes, "subprocess", HERE)
                self._make(path)
        if not (project / (name or path)).exists():
            shutil.copytree(self.folder / path, project / (name or path))

    def _make(self, path: str) -> None:
        if path == "exports/first":
            self.provide("runs/shop", self.folder)
            motet("export", "runs/shop", "--out", path)
        elif path.startswith("studies/"):
            motet("sweep", "study.yaml", "--out", path, "--quiet")
        elif path == "runs/interrupted":
            interrupted(load(Path("recipe.yaml")).experiment, Path(path))
        else:
            recipe, *settings = RUNS[path]
            motet("train", recipe, *settings, "--out", path, "--quiet")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> World:
    return World(write_project(tmp_path_factory.mktemp("world"), tiny_encoder))


@pytest.fixture
def project(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory. The default encoder is the tiny one, and parts that a page registers are forgotten."""
    monkeypatch.chdir(write_project(tmp_path, tiny_encoder))
    monkeypatch.delenv("MOTET_DATA", raising=False)
    monkeypatch.setattr(loading, "_packaged", lambda: tiny_encoder)
    monkeypatch.setattr(processes, "subprocess", HERE)
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    monkeypatch.setattr(registry, "_names", dict(registry._names))
    yield tmp_path


def needed(text: str, world: World, page: str = "") -> None:
    """Put into the working directory the runs, studies and exports that a text names and does not make."""
    made = re.findall(r"(?:--out |out=\")([\w./-]+)", text)
    for path in dict.fromkeys(re.findall(r"\b(?:runs|studies|exports|ann)/[\w-]+", text)):
        if path not in made and not Path(path).exists():
            own = path == "ann/first" or (path == "runs/first" and page in SHOP)
            world.provide("runs/shop" if own else path, Path.cwd(), path)


def execute(text: str, name: str) -> dict[str, Any]:
    """Run Python as if it were a file of its own; what it has defined."""
    defined: dict[str, Any] = {"__name__": "page"}
    exec(compile(text, name, "exec", dont_inherit=True), defined)
    return defined
