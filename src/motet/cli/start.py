"""Commands to begin with: demo, init, fill."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motet.cli.recipes import Quiet
from motet.cli.terminal import print_json, print_result, print_scores, say, watch
from motet.errors import RecipeError

if TYPE_CHECKING:
    from motet.training.experiment import Experiment

__all__ = ["demo", "fill", "init"]


def demo(
    out: Annotated[Path, typer.Option(help="The run folder; a number is added where it exists.")] = Path("runs/demo"),
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 450,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Train five tasks on this machine's documentation, offline."""
    from motet.reporting.report import write
    from motet.training.evaluation import evaluate_run
    from motet.training.run import start

    experiment = _demo_experiment(steps, seed)
    folder = _free(out)
    with watch(quiet) as console:
        run = start(experiment, folder, listeners=[console], commands=[f"motet demo --steps {steps} --seed {seed}"])
    scores = evaluate_run(run.folder, experiment)["scores"]
    print_scores({task.name: {task.headline: scores[task.name][task.headline]} for task in experiment.tasks})
    print_result(f"report: {write(run.folder)}")
    say(f'\nNext: motet predict {folder} "Return the number of items in the queue."')
    say("      motet init your-data.csv")


def init(
    data: Annotated[list[Path], typer.Argument(exists=True, help="Files of examples, and folders with one a split.")],
    out: Annotated[Path, typer.Option(help="The recipe to write; - for stdout.")] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a first recipe for some data."""
    from motet.recipe.draft import draft

    if out.exists() and not force:
        raise RecipeError(f"{out} is there already. Choose another name with --out, or --force.")
    made = draft(data, out.parent)
    for note in made.notes:
        say(note)
    if str(out) == "-":
        print_result(made.text.rstrip())
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(made.text, encoding="utf-8")
    print_result(str(out))
    say(f"\nNext: motet check {out} --data\n      motet train {out}")


def fill(
    recipe: Annotated[Path | None, typer.Argument(metavar="RECIPE", help="A .yaml, .json or .toml file.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of all recipes, for editors.")
    ] = False,
) -> None:
    """Print a recipe with every key, default and meaning."""
    if schema:
        from motet.recipe.schema import schema as schema_of_recipes

        print_json(schema_of_recipes())
        return
    if recipe is None:
        raise typer.BadParameter("name a recipe")
    from motet.recipe import fill as filled

    print_result(filled(recipe).rstrip())


def _demo_experiment(steps: int, seed: int) -> Experiment:
    """Small enough for two cores and a few minutes: few rows, short texts, many epochs, little patience."""
    from dataclasses import replace

    from motet.data.docstrings import tasks
    from motet.data.sources import Source
    from motet.encoders.loading import Encoder
    from motet.sampling.uniform import Uniform
    from motet.training.convergence import Patience
    from motet.training.experiment import Experiment, Training

    source = Source("docstrings", rows={"train": 400, "validation": 250})
    return Experiment(
        tasks=tuple(replace(task, source=source) for task in tasks()),
        encoder=Encoder(max_length=48),
        sampler=Uniform(),
        convergence=Patience(checks=2, min_epochs=3, tasks={"parameter_count": {"min_epochs": 8}}),  # slow to begin
        training=Training(steps=steps, tokens_per_batch=1024, check_every=25, learning_rate=2e-4, seed=seed),
    )


def _free(folder: Path) -> Path:
    """The folder, or the first one with a number after its name that does not exist."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return folder if not folder.exists() else next(path for path in numbered if not path.exists())
