"""Commands that give a model away: export, push."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from motet.cli.recipes import FolderOption, Json, folder_of, opened
from motet.cli.terminal import print_json, print_result, say

if TYPE_CHECKING:
    from motet.data.examples import Examples
    from motet.model import MultiTaskModel
    from motet.serving.checking import Loss

__all__ = ["export", "push"]


def export(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a model folder.")],
    out: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
    task: Annotated[str, typer.Option(help="This task alone; all that can be exported if left out.")] = "",
    to: Annotated[
        Literal["onnx", "transformers"],
        typer.Option(help="One ONNX graph, or a plain model of transformers for one task."),
    ] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Round the weights of the graph to eight bits.")] = False,
    split: Annotated[str, typer.Option(help="The rows of a run to check on, and to score with --int8.")] = "validation",
    folder: FolderOption = None,
    json: Json = False,
) -> None:
    """Write a model for other programs, and check it.

    What it says is held against the original.

    A run is checked on rows of its own data; a model folder, which knows none, on documentation strings of Python.
    """
    from motet.model import load
    from motet.serving.as_transformers import export_plain
    from motet.serving.checking import documentation, sample
    from motet.serving.exporting import export_onnx, fitting, require_free

    require_free(out)
    loaded = load(model)
    if to == "transformers":
        name = _one(loaded, task, int8)
        examples = _examples(model, loaded, split, folder)
        rows = sample(examples) if name in examples else documentation(loaded, {name: loaded.tasks[name]})
        plain = export_plain(loaded, out, name, rows)
        report: dict[str, Any] = {"folder": str(out), "class": plain.kind, "differences": {name: plain.difference}}
    else:
        chosen, _ = fitting(loaded, [task] if task else ())
        examples = _examples(model, loaded, split, folder)
        rows = {**documentation(loaded, chosen), **sample(examples)}
        found = export_onnx(loaded, out, rows, tasks=[task] if task else (), int8=int8, examples=examples)
        for sentence in found.left_out:
            say(f"Left out: {sentence}")
        report = {"folder": str(out), "differences": found.differences, "rounded": found.rounded}
        report["scores"] = {name: {**asdict(loss), "lost": loss.lost} for name, loss in found.losses.items()}
        if not json:
            _print_losses(found.losses)
    if json:
        print_json(report)
    else:
        _print_report(report)


def _one(model: MultiTaskModel, task: str, int8: bool) -> str:
    """The task of a plain model."""
    if int8:
        raise typer.BadParameter("--int8 is for --to onnx")
    if not task and len(model.tasks) > 1:
        raise typer.BadParameter(f"--to transformers writes one task: name it with --task ({', '.join(model.tasks)})")
    return task or next(iter(model.tasks))


def _examples(path: Path, model: MultiTaskModel, split: str, folder: Path | None) -> dict[str, Examples]:
    """The rows of a run to check on; none for a model folder."""
    from motet.runs import RunFolder
    from motet.serving.checking import examples_of

    run = RunFolder(path)
    if not run.exists():
        return {}
    with opened(run.recipe_file) as loaded:
        return examples_of(loaded.experiment, model, split, folder or folder_of(run, loaded))


def _print_report(report: dict[str, Any]) -> None:
    for name, difference in report["differences"].items():
        print_result(f"{name:<20} differs from the original by at most {difference:.2g}")
    for name, difference in report.get("rounded", {}).items():
        print_result(f"{name:<20} in int8 by at most {difference:.2g}")
    print_result(report["folder"])


def _print_losses(losses: Mapping[str, Loss]) -> None:
    from motet.reporting.numerals import score

    for name, loss in losses.items():
        error = f" (standard error {score(loss.se)})" if loss.se is not None else ""
        told = f"{loss.metric} {score(loss.before)}{error} in float32, {score(loss.after)} in int8"
        print_result(f"{name:<20} {told}: {score(loss.lost)} lost")


def push(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, a model folder or an export.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="Where to, as user/name.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository for its owner alone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Send a model with its card to the hub.

    Weights, tokenizer, tasks and card. It says what, and asks first.
    """
    from motet.reporting.numerals import size
    from motet.serving.publishing import packed, send

    parcel = packed(model, repository)
    say(f"{size(parcel.size)} from {parcel.folder} to {parcel.repository}{' (private if new)' if private else ''}:")
    for name in parcel.files:
        say(f"  {name}")
    if not yes and not (sys.stdin.isatty() and typer.confirm("Send them?", err=True)):
        say("Nothing was sent. Add --yes to send without being asked.")
        raise typer.Exit(1)
    print_result(send(parcel, private=private))
