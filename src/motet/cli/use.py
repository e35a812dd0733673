"""Commands about what is there: eval, predict, report, info."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import motet
from motet.cli.recipes import FolderOption, Json, folder_of, opened
from motet.cli.terminal import print_json, print_result, print_scores

if TYPE_CHECKING:
    from motet.runs import RunFolder

__all__ = ["evaluate", "info", "predict", "report"]

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="The split to score on.")] = "test",
    folder: FolderOption = None,
    json: Json = False,
) -> None:
    """Score the model of a run on its test split."""
    from motet.runs import RunFolder
    from motet.training.evaluation import evaluate_run

    finished = RunFolder(run).require()
    with opened(finished.recipe_file) as loaded:
        event = evaluate_run(finished, loaded.experiment, split=split, folder=folder or folder_of(finished, loaded))
    if json:
        print_json(event)
    else:
        print_scores(event["scores"])


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a run folder.")],
    text: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="A text; two for a pair.")] = None,
    file: Annotated[str, typer.Option(help="A file with a text or a JSON value a line; - for stdin.")] = "",
    tasks: Annotated[str, typer.Option(help="Only these tasks, with commas between them.")] = "",
) -> None:
    """Answer texts: one line of JSON for each.

    A line of a file is a text, or JSON: a text, a list of two texts, or an object with the columns of the tasks.
    Lines of one query that follow each other are ranked together.
    """
    from motet.cli.rows import answers, read_lines
    from motet.model import load

    if bool(text) == bool(file):
        raise typer.BadParameter("give either a text or --file")
    values = read_lines(file) if file else [text[0] if text and len(text) == 1 else text]
    for answer in answers(load(model), values, [name for name in tasks.split(",") if name]):
        print_json(answer)


def report(run: RunPath) -> None:
    """Write the report of a run, finished or not."""
    from motet.reporting.report import write
    from motet.runs import RunFolder

    print_result(str(write(RunFolder(run))))


def info(
    run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="A run folder.")] = None, json: Json = False
) -> None:
    """Print versions, or how a run was made."""
    from motet.runs import RunFolder

    facts = _environment() if run is None else _of_run(RunFolder(run).require())
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        print_result(f"{name:<16} {value}")


def _environment() -> dict[str, Any]:
    packages = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "numpy", "scipy", "typer")
    machine = {"python": platform.python_version(), "platform": platform.platform()}
    return {"motet": motet.__version__, **machine, **{package: _version(package) for package in packages}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _of_run(run: RunFolder) -> dict[str, Any]:
    manifest: dict[str, Any] = run.read_json(run.manifest_file)
    ends = [event for event in run.events() if event["event"] in ("end", "interrupted")]
    state = {"state": f"{ends[-1]['event']} at step {ends[-1]['step']}" if ends else "no end yet"}
    plain = {name: value for name, value in manifest.items() if not isinstance(value, dict)}
    return {**plain, **manifest.get("packages", {}), **state}
