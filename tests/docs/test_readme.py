"""The pages: every block of code in them is read as a user would type it, and those marked `run` are run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

import motet
from motet.cli.app import app
from motet.encoders import DEFAULT_ENCODER
from motet.recipe import loads
from motet.recipe.parsing import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FRAGMENT = {"emotion": {"type": "classification", "source": "data/emotion"}}  # for a recipe that shows other keys only


class Block(NamedTuple):
    name: str
    info: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(f"{page.relative_to(ROOT)}:{line}", found[1].strip(), found[2])


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(*infos: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    chosen = [block for block in BLOCKS if block.info in infos]
    return pytest.mark.parametrize("block", chosen, ids=lambda block: block.name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the data that the pages name."""
    emotion = [{"text": f"a {mood} film {i}", "label": mood} for i in range(12) for mood in ("good", "bad")]
    tagged = [{"tokens": ["Anna", "met", "Ben", str(i)], "tags": ["B-person", "O", "B-person", "O"]} for i in range(24)]
    reviews = [{**row, "shop": ("books", "toys")[i // 2 % 2]} for i, row in enumerate(emotion)]
    tables: dict[str, list[Any]] = {"emotion": emotion, "wnut17": tagged, "reviews": reviews}
    for name, rows in tables.items():
        for split in ("train", "validation"):
            file = tmp_path / "data" / name / f"{split}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_something_to_test() -> None:
    infos = {block.info for block in BLOCKS}
    assert infos == {"python", "python run", "yaml", "sh", "text"}, "a block of another kind would not be tested"


@of("python", "python run")
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.name, "exec")


@of("python run")
def test_python_runs(block: Block, project: Path, tiny_encoder: Path) -> None:
    text = block.text.replace(DEFAULT_ENCODER, tiny_encoder.as_posix()).replace("steps=3000", "steps=2")
    exec(compile(text, block.name, "exec"), {"__name__": "page"})
    assert ("runs/first" not in text) or (project / "runs" / "first" / "model").is_dir()


@of("yaml")
def test_recipe_is_valid(block: Block, project: Path) -> None:
    data = parse_yaml(block.text).data
    assert loads({"tasks": FRAGMENT, **data}, folder=project).tasks


def test_the_readme_spells_one_experiment_twice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(motet, "train", lambda tasks, **parts: given.update(parts, tasks=tasks))
    (recipe,) = (block for block in BLOCKS if block.info == "yaml" and block.name.startswith("README"))
    (python,) = (block for block in BLOCKS if block.info == "python run" and block.name.startswith("README"))
    exec(compile(python.text.partition("run.scores")[0], python.name, "exec"), {})
    spelled = loads(parse_yaml(recipe.text).data)
    for part in ("schedule", "convergence", "balance", "sampler"):
        assert getattr(spelled, part) == given[part]
    assert spelled.tasks == motet.Experiment(tasks=tuple(given["tasks"])).tasks
    assert (spelled.training.steps, spelled.encoder.name) == (given["steps"], given["encoder"])


def test_literal_form_is_what_the_page_says() -> None:
    page = (ROOT / "docs" / "concepts" / "convergence.md").read_text(encoding="utf-8")
    literal = page.partition("## The literal form")[2]
    word, spelled_out = (parse_yaml(found[2]).data for found in list(FENCE.finditer(literal))[:2])
    assert loads({"tasks": FRAGMENT, **word}).convergence == loads({"tasks": FRAGMENT, **spelled_out}).convergence


@of("sh")
def test_commands_exist(block: Block) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["motet"]:
            continue
        known = {option for parameter in commands[words[1]].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `motet (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    measured = [target for target in missing if "results/" in target]  # written by the studies in benchmarks/
    assert missing == measured
