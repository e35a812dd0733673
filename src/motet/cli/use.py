"""Commands about what is there: eval, predict, report, info."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import motet
from motet.cli.recipes import FolderOption, Json, Quiet, folder_of, opened
from motet.cli.terminal import print_json, print_result, print_scores, progress, say

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
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, a run folder or an ONNX export.")],
    text: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="A text; two for a pair.")] = None,
    file: Annotated[str, typer.Option(help="A file with a row a line, or a table; - for stdin.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write answers here: .jsonl, .csv or .parquet.")] = None,
    tasks: Annotated[str, typer.Option(help="Only these tasks, with commas between them.")] = "",
    ray: Annotated[str, typer.Option(metavar="ADDRESS", help="Share the work among the nodes of a Ray cluster.")] = "",
    quiet: Quiet = False,
) -> None:
    """Answer texts, one by one or a file of them.

    A line of JSON for each, or a file with an answer for every row of a file.

    A line of a file is a text, or JSON: a text, a list of two texts, or an object with the columns of the tasks.
    Lines of one query that follow each other are ranked together. With --out, the same command goes on where it was
    broken off.
    """
    from motet.serving.opening import open_model
    from motet.serving.rows import answers, read_lines

    names = [name for name in tasks.split(",") if name]
    if bool(text) == bool(file):
        raise typer.BadParameter("give either a text or --file")
    if (out is None and ray) or (out is not None and file in ("", "-")):
        raise typer.BadParameter("--out and --ray are for a file that --file names, and --ray needs --out")
    if ray and out is not None:
        _predict_on_ray(model, file, out, names, ray)
    elif out is not None:
        _predict_file(model, file, out, names, quiet)
    else:
        values = read_lines(file) if file else [text[0] if text and len(text) == 1 else text]
        for answer in answers(open_model(model), values, names):
            print_json(answer)


def _folder(path: Path) -> Path:
    """The folder with the weights."""
    from motet.runs import RunFolder

    run = RunFolder(path)
    return run.model if run.exists() else path


def _predict_file(model: Path, file: str, out: Path, tasks: Sequence[str], quiet: bool) -> None:
    from motet.serving.files import predict_file
    from motet.serving.opening import open_model

    with progress(quiet) as report:
        done = predict_file(open_model(model), file, out, tasks, origin=_folder(model), report=report)
    say(f"{done.rows} rows answered" + (f", {done.resumed} of them before" if done.resumed else ""))
    print_result(str(done.path))


def _predict_on_ray(model: Path, file: str, out: Path, tasks: Sequence[str], address: str) -> None:
    from motet.serving.cluster import predict_on_ray

    predict_on_ray(_folder(model), file, out, tasks, address)
    print_result(str(out))


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
