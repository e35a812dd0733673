"""How commands speak: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from motet.reporting.console import Console
    from motet.runs import Event

__all__ = ["print_json", "print_result", "print_scores", "progress", "say", "watch"]


def print_result(text: str) -> None:
    """Something that was asked for."""
    print(text, flush=True)


def print_json(value: Any) -> None:
    """The same for machines, on one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def say(text: str) -> None:
    """Anything else."""
    print(text, file=sys.stderr, flush=True)


def print_scores(scores: Mapping[str, Any]) -> None:
    """A line for each task and metric, as they stand in an event."""
    from motet.reporting.numerals import with_error
    from motet.reporting.plain import scores_by_task

    rows = [
        (task, name, with_error(score)) for task, of in scores_by_task(scores).items() for name, score in of.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print_result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def watch(quiet: bool, past: Iterable[Event] = ()) -> Iterator[Console]:
    """Show a run while it goes on. An interrupted one tells how to go on and exits with 130."""
    from motet.reporting.console import Console
    from motet.training.run import Interrupted

    console = Console(quiet=quiet, past=past)
    try:
        yield console
    except Interrupted as interrupted:
        console.close()
        say(str(interrupted))
        raise typer.Exit(130) from interrupted
    finally:
        console.close()


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on stderr, on a terminal alone, that is told how many rows of how many are done."""
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = Terminal(stderr=True)
    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, transient=True, disable=quiet or not terminal.is_terminal) as bar:
        task = bar.add_task("rows", total=None)
        yield lambda rows, total: bar.update(task, completed=rows, total=total)
