"""The page about the commands, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from motet.cli.app import app
from motet.recipe.parts import sentences
from motet.serving.limits import Limits

__all__ = ["commands", "page"]

_INTRODUCTION = """# Commands

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a mistake that the message tells how to mend, 2 a
command line that cannot be understood, 130 interrupted. `motet COMMAND --help` prints what stands here."""


def commands() -> dict[str, Any]:
    """Every command by its name, those of groups with the name of the group before their own."""
    return dict(_inside(typer.main.get_command(app), ""))


def page() -> str:
    """The whole page."""
    return "\n\n".join([_INTRODUCTION, *(_section(name, command) for name, command in commands().items())]) + "\n"


def _inside(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from _inside(inner, f"{path} {name}".strip())


def _section(name: str, command: Any) -> str:
    context = command.make_context(f"motet {name}", [], resilient_parsing=True)
    usage = " ".join([f"motet {name}", *command.collect_usage_pieces(context)])
    parts = [f"## motet {name}", (command.help or "").strip(), f"```text\n{usage}\n```"]
    rows = [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
    return "\n\n".join([*parts, "\n".join(["| | |", "| --- | --- |", *rows])]) if rows else "\n\n".join(parts)


def _row(parameter: Any, context: Any) -> str:
    name, meaning = parameter.get_help_record(context) or (parameter.metavar, "")
    meaning = meaning or sentences(Limits).get(parameter.name, "")  # the limits of a server say it in one place
    cells = [f"`{name}`", " ".join(meaning.split()).replace("[", "\\[")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
