"""Commands about modules of tasks: masks, prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motet.cli.recipes import Json, Quiet, RecipePath, SetOption, Settings, opened
from motet.cli.terminal import print_json, print_result, say

__all__ = ["masks", "prompts"]


def masks(
    recipe: RecipePath,
    settings: Settings = None,
    set_: SetOption = None,
    density: Annotated[float, typer.Option(help="Share of the weights that each task keeps.")] = 0.5,
    rounds: Annotated[int, typer.Option(help="Of training and pruning.")] = 3,
    steps: Annotated[int, typer.Option(help="Optimiser steps of a round.")] = 100,
    best: Annotated[bool, typer.Option("--best", help="Keep the round that was best on validation.")] = False,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("masks.safetensors"),
    quiet: Quiet = False,
) -> None:
    """Find the masks of sparse sharing for a recipe.

    They say which weights each task needs.

    Every task is trained alone for some steps and loses its smallest weights, round after round from the same start.
    A search that was stopped goes on when the same command is given again.
    """
    from motet.training.masks import search_masks

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    with opened(recipe, [*(settings or ()), *(set_ or ())]) as loaded:
        search_masks(
            loaded.experiment,
            out,
            density=density,
            rounds=rounds,
            steps=steps,
            best=best,
            folder=loaded.folder,
            tell=tell,
        )
    print_result(str(out))
    say(f"\nNext, in {recipe}:\n    architecture: {{type: sparse_sharing, masks: {out}}}")


def prompts(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a model folder with prompts.")],
    sources: Annotated[
        Path | None, typer.Argument(metavar="[SOURCES]", help="Another one, to whose prompts they are held.")
    ] = None,
    json: Json = False,
) -> None:
    """Print how alike the prompts of tasks are.

    The measure is the cosine of their means.

    A near task is a good one to begin with: `architecture: {type: prompt_tuning, sources: RUN, start: {TASK: SOURCE}}`.
    """
    from motet.architectures.modular.prepending import read_prompts, similarities

    own = read_prompts(run)
    found = similarities(own, read_prompts(sources) if sources else own)
    if json:
        print_json(found)
        return
    columns = list(next(iter(found.values())))
    lines = [["", *columns], *([task, *(f"{row[name]:.3f}" for name in columns)] for task, row in found.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *cells in lines:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print_result("  ".join([first.ljust(widths[0]), *padded]))
