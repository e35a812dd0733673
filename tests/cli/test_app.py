"""The command line as a whole: it starts fast, and fails with the right words and the right code."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import motet as package
from motet.cli import use
from motet.cli.app import main

HEAVY = ("torch", "transformers", "datasets", "accelerate", "numpy", "scipy", "sklearn", "pyarrow", "pydantic")
HELP = "import sys; sys.argv = ['motet', '--help']; from motet.cli.app import main; main()"


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)


@cache
def seconds(program: str) -> float:
    """The fastest of three starts; the others may have had to wait."""

    def once() -> float:
        begin = time.perf_counter()
        python(program)
        return time.perf_counter() - begin

    return min(once() for _ in range(3))


@pytest.mark.parametrize("program", ["import motet", "import motet; dir(motet)", "import motet.cli.app"])
def test_nothing_large_is_imported_at_the_start(program: str) -> None:
    found = python(f"{program}; import sys; print(*(name for name in {HEAVY} if name in sys.modules))").stdout
    assert not found.split()


@pytest.mark.parametrize("program", ["import motet", HELP])
def test_starting_takes_much_less_time_than_importing_torch(program: str) -> None:
    assert seconds(program) <= 0.4 * seconds("import torch")


def test_help_lists_every_command(motet: Callable[..., Any]) -> None:
    said = motet("--help")
    assert said.code == 0
    told = (
        "demo init fill check train resume eval predict serve export push sweep compare report watch architectures "
        "masks prompts info"
    )
    for command in told.split():
        assert f"\n  {command} " in said.out
        assert motet(command, "--help").code == 0
    assert "..." not in said.out.partition("Commands:")[2]  # every summary fits its line


def test_architectures_are_listed(motet: Callable[..., Any]) -> None:
    entries = json.loads(motet("architectures", "--json").out)
    names = [entry["name"] for entry in entries]
    assert names[0] == "hard_sharing"
    assert len(names) > 30
    by_name = dict(zip(names, entries, strict=True))
    assert by_name["hard_sharing"]["multiply_adds"] == 1
    assert by_name["cross_stitch"]["multiply_adds"] > 4  # all columns read all rows
    assert by_name["adapters"]["trained"] < 0.2 * by_name["hard_sharing"]["trained"]
    assert set(by_name["shared_private"]["extras"]) == {"adversarial", "orthogonality"}
    assert all(entry["family"] and entry["source"] and entry["summary"].endswith(".") for entry in entries)


def test_the_version_goes_to_stdout(motet: Callable[..., Any]) -> None:
    said = motet("--version")
    assert (said.code, said.out, said.err) == (0, f"motet {package.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train"], "Missing argument"),
        (["train", "a.yaml", "--stepz", "3"], "No such option"),
        (["predict", "model"], "give either a text or --file"),
        (["predict", "model", "text", "--file", "x"], "give either a text or --file"),
        (["fill"], "name a recipe"),
        (["demo", "--steps", "0"], "Invalid value for '--steps'"),
        (["init", "/nowhere/at/all"], "does not exist"),
    ],
)
def test_a_command_line_that_cannot_be_understood(motet: Callable[..., Any], arguments: list[str], told: str) -> None:
    said = motet(*arguments)
    assert said.code == 2
    assert told in said.err
    assert not said.out


@pytest.mark.parametrize("command", ["resume", "eval", "report", "info", "predict"])
def test_a_mistake_of_the_user_is_one_sentence(motet: Callable[..., Any], command: str, tmp_path: Path) -> None:
    said = motet(command, tmp_path, *(["text"] if command == "predict" else []))
    assert said.code == 1
    assert str(tmp_path) in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*arguments: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(use, "print_result", break_down)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["info"])


def test_interrupting_exits_with_130(monkeypatch: pytest.MonkeyPatch, motet: Callable[..., Any]) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(use, "print_result", interrupt)
    assert motet("info").code == 130
