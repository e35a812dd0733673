"""Commands around training: check, train, resume."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from motet.cli.recipes import FolderOption, Json, Quiet, RecipePath, SetOption, Settings, folder_of, opened
from motet.cli.terminal import print_json, print_result, print_scores, say, watch

if TYPE_CHECKING:
    from motet.data.findings import Finding
    from motet.runs import Event
    from motet.training.plan import Prepared
    from motet.training.run import Run

__all__ = ["check", "resume", "train"]

Track: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--track", metavar="NAME", help="Also log to tensorboard, mlflow, wandb or trackio; may be repeated."),
]


def check(
    recipe: RecipePath,
    settings: Settings = None,
    set_: SetOption = None,
    data: Annotated[bool, typer.Option("--data", help="Look at the data too: overlaps, labels, lengths.")] = False,
    json: Json = False,
) -> None:
    """Print the plan of a recipe, and train nothing."""
    from motet.training.plan import prepare

    with opened(recipe, [*(settings or ()), *(set_ or ())]) as loaded:
        prepared = prepare(loaded.experiment, loaded.folder)
        findings = _findings(prepared, loaded.folder) if data else []
    if json:
        print_json({**prepared.plan, "findings": [vars(finding) for finding in findings]})
    else:
        _print_plan(prepared, labels=data)
        for finding in findings:
            print_result(str(finding))
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def train(
    recipe: RecipePath,
    settings: Settings = None,
    set_: SetOption = None,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/RECIPE-TIME")] = None,
    track: Track = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train what a recipe says."""
    from motet.tracking.opening import tracked
    from motet.training.run import start

    changes = [*(settings or ()), *(set_ or ())]
    folder = out or Path("runs", f"{recipe.stem}-{time.strftime('%Y%m%d-%H%M%S')}")
    command = shlex.join(["motet", "train", str(recipe), *changes])
    with opened(recipe, changes) as loaded, tracked(track or (), folder, say) as trackers, watch(quiet) as console:
        listeners: list[Callable[[Event], None]] = [console, *trackers]
        run = start(loaded.experiment, folder, folder=loaded.folder, listeners=listeners, commands=[command])
    _conclude(run, json)


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    folder: FolderOption = None,
    track: Track = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with an interrupted run, exactly where it was."""
    from motet.runs import RunFolder
    from motet.tracking.opening import tracked
    from motet.training.run import resume as go_on

    begun = RunFolder(run).require()
    with (
        opened(begun.recipe_file) as loaded,
        tracked(track or (), run, say) as trackers,
        watch(quiet, begun.events()) as console,
    ):
        data = folder or folder_of(begun, loaded)
        listeners: list[Callable[[Event], None]] = [console, *trackers]
        finished = go_on(run, loaded.experiment, folder=data, listeners=listeners)
    _conclude(finished, json)


def _conclude(run: Run, json: bool) -> None:
    from motet.reporting.report import write

    report = write(run.folder)
    if json:
        print_json({"run": str(run.folder.path), "reason": run.reason, "scores": run.scores, "report": str(report)})
        return
    print_scores({task: {of["metric"]: {"value": of["final"], "se": of["se"]}} for task, of in run.scores.items()})
    print_result(f"report: {report}")
    say(f"\nNext: motet eval {run.folder.path}\n      motet predict {run.folder.path} TEXT")


def _findings(prepared: Prepared, folder: Path) -> Iterable[Finding]:
    from motet.data.corpus import load_tables
    from motet.data.findings import look

    tasks = prepared.corpus.tasks.values()
    truncated = {row["name"]: row["truncated"] for row in prepared.plan["tasks"]}
    return look(list(tasks), load_tables(tasks, folder), truncated)


def _print_plan(prepared: Prepared, labels: bool) -> None:
    from rich.console import Console as Terminal

    from motet.reporting.console import WIDTH_OF_A_FILE, Console

    terminal = Terminal(highlight=False)
    if not terminal.is_terminal:
        terminal.width = WIDTH_OF_A_FILE
    console = Console(terminal=terminal)
    console.print_plan(prepared.plan)
    if labels:
        console.print_coverage(prepared.plan)
