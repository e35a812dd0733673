"""Every command on the pages: read by the real command line, and run on tiny data where that ends within a second."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.docs.conftest import World, execute, motet, needed
from tests.docs.pages import BLOCKS, ROOT, Block, command_lines, maker, of

from motet.cli.app import app

PARSED_ONLY = {  # commands of motet that are read and not run here: why, and which test runs them
    "demo": ("trains for minutes", "cli/test_start.py"),
    "serve": ("answers until it is stopped", "serving/test_server.py"),
    "watch": ("answers until it is stopped", "cli/test_watch.py"),
    "push": ("needs the hub", "serving/test_push.py"),
    "export": ("takes seconds; the code that reads an export makes one", "docs/conftest.py"),
    "masks": ("trains in rounds", "cli/test_modules.py"),
}
NOT_OURS = {
    "cat",
    "cd",
    "curl",
    "docker",
    "git",
    "jupyter",
    "mlflow",
    "ray",
    "tensorboard",
    "trackio",
    "uvicorn",
    "wandb",
}
OURS = {"make", "motet", "pip", "python", "sh", "torchrun", "accelerate", "zensical"}
LINES = [(block.name, words) for block in BLOCKS if block.info == "sh" for words in command_lines(block)]
CLUSTER = "--ray"  # needs one; tests/serving and tests/study do this
each = pytest.mark.parametrize(("name", "words"), LINES, ids=[f"{name}-{words[0]}" for name, words in LINES])


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command of motet that some words name, and its arguments."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words, "a group of commands needs one of them"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def read(words: list[str]) -> None:
    """Refuse what the command line does not understand."""
    command, rest = found(words)
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= options, words
    command.make_context(words[0], list(rest))


@each
def test_the_program_is_known(name: str, words: list[str]) -> None:
    assert words[0] in OURS | NOT_OURS, f"{name}: nothing says how `{words[0]}` is tested"


@each
def test_a_command_of_motet_is_understood(name: str, words: list[str], project: Path) -> None:
    if words[0] in ("torchrun", "accelerate"):
        words = words[words.index("motet") :]
    if words[0] == "motet":
        read(words[1:])


@each
def test_files_and_targets_are_there(name: str, words: list[str]) -> None:
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), name
    elif words[0] == "python" and words[1].endswith(".py"):
        script = ROOT / words[1]
        text = script.read_text(encoding="utf-8")
        assert all(option in text for option in words[2:] if option.startswith("--")), name
    elif words[0] == "sh":
        assert (ROOT / words[1]).is_file(), name
    elif words[0] == "pip":
        extras = re.findall(r"\[([\w,]+)\]", " ".join(words))
        offered = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        assert {extra for of_one in extras for extra in of_one.split(",")} <= set(offered), name


@of("sh")
def test_commands_run(block: Block, project: Path, world: World) -> None:
    """The commands of a block one after the other. A recipe of the repository needs data sets, so it is only read."""
    before = [other for other in BLOCKS if other.page == block.page and BLOCKS.index(other) < BLOCKS.index(block)]
    if block.page.startswith("docs/tutorials/"):  # its blocks build on each other
        for other in before:
            if other.info == "python run" and "motet." not in other.text:
                execute(other.text, other.name)
            elif other.info == "sh":
                run(other, world)
    run(block, world)


def installed(words: list[str]) -> bool:
    """Whether the trackers that a command names are here."""
    named = [tool for option, tool in pairwise(words) if option == "--track"]
    return all(find_spec(tool) for tool in named)


def run(block: Block, world: World) -> None:
    lines = [words for words in command_lines(block) if words[0] == "motet" and words[1] not in PARSED_ONLY]
    for words in lines:
        if CLUSTER in words or any(word.startswith("recipes/") for word in words) or not installed(words):
            continue
        if words[1] == "resume":
            shutil.rmtree(words[2], ignore_errors=True)
            world.provide("runs/interrupted", Path.cwd(), words[2])
        elif words[1] == "init" and "--out" not in words:
            Path("recipe.yaml").unlink()
        needed(" ".join(words), world, block.page)
        with Path("texts.txt").open(encoding="utf-8") as typed, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", typed)
            motet(*(word.replace("/new/place", ".") for word in words[1:]))


@pytest.mark.parametrize("command", PARSED_ONLY)
def test_what_is_not_run_here_is_run_there(command: str) -> None:
    _, test = PARSED_ONLY[command]
    assert f'"{command}"' in (ROOT / "tests" / test).read_text(encoding="utf-8")


def test_every_command_is_described() -> None:
    """The page about the commands is made of them, so each has to say what it and its options do."""
    for part in maker("make_commands").page().split("\n## ")[1:]:
        name, told = part.split("\n\n")[:2]
        assert len(told) > 20, name
        assert not re.findall(r"^\| `.*` \|\s*\|$", part, re.MULTILINE), name


def test_the_page_names_every_command() -> None:
    page = maker("make_commands").page()
    assert re.findall(r"^## motet (.+)$", page, re.MULTILINE) == list(maker("make_commands").commands())
