"""Commands about many runs: compare, sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from motet.cli.recipes import Json, Quiet
from motet.cli.terminal import print_json, print_result, say

if TYPE_CHECKING:
    from motet.reporting.study_view import Comparison

__all__ = ["compare", "sweep"]

Baseline = Annotated[str, typer.Option(help="The variant that the others are compared with.", show_default=False)]


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or the folder of a study.")],
    baseline: Baseline = "",
    out: Annotated[
        Path | None, typer.Option(help="Where the page and the results go.", show_default="the study, or comparison")
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs on test, with tests of the differences."""
    from motet.study.comparison import compare_gathered
    from motet.study.ledger import StudyFolder
    from motet.study.results import gather, untested

    gathered = gather(runs)
    waiting = untested(gathered)
    if waiting:
        from motet.study.scoring import score_run

        for run in waiting:
            say(f"scoring {run.path} on test")
            score_run(run)
    is_study = len(runs) == 1 and StudyFolder(runs[0]).exists()
    found = compare_gathered(gather(runs) if waiting else gathered, baseline)
    _conclude(found, out or (runs[0] if is_study else Path("comparison")), json)


def sweep(
    study: Annotated[Path, typer.Argument(metavar="FILE", help="A study: a recipe, variants of it, seeds.")],
    out: Annotated[Path | None, typer.Option(help="The folder of the study.", show_default="studies/FILE")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; they share the cores.")] = 1,
    ray: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The Ray cluster that does the work; auto, or local.")
    ] = "",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and test every run of a study, then compare them."""
    from motet.study.comparison import compare as compared
    from motet.study.sweep import sweep as perform
    from motet.training.run import Interrupted

    folder = out or Path("studies", study.stem)
    try:
        outcomes = perform(study, folder, jobs=jobs, ray=ray, tell=(lambda line: None) if quiet else say)
    except Interrupted as interrupted:
        say(str(interrupted))
        raise typer.Exit(130) from interrupted
    failed = [name for name, outcome in outcomes.items() if outcome != "finished"]
    if failed:
        say(f"{len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}. Their output is in {folder / 'logs'}.")
    _conclude(compared([folder]), folder, json)
    if failed:
        raise typer.Exit(1)


def _conclude(comparison: Comparison, folder: Path, json: bool) -> None:
    """Write the page and the results, then print the tables, or the whole as JSON."""
    from motet.reporting.study import write
    from motet.study.tables import plain, write_results

    page = write(comparison, folder)
    results = write_results(comparison, folder)
    if json:
        print_json({**plain(comparison), "report": str(page), "results": [str(path) for path in results]})
        return
    _print_tables(comparison)
    print_result(f"report: {page}")


def _print_tables(comparison: Comparison) -> None:
    from rich.console import Console as Terminal

    from motet.reporting.console import WIDTH_OF_A_FILE
    from motet.reporting.study_tables import parts

    terminal = Terminal(highlight=False)
    if not terminal.is_terminal:
        terminal.width = WIDTH_OF_A_FILE
    for part in parts(comparison):
        terminal.print(part)
        terminal.print()
