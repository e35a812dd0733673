"""What the runs of a study say of each other: scores, gains, and how far these can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np

from motet.reporting.study_view import Cell, Comparison, Gain, Variant
from motet.significance import mean_of_relative_gains, mean_ranks, relative_gain_of_mean, win_tie_loss
from motet.study.contest import Contest, contest_of
from motet.study.gains import gains_by_task, gains_of_means
from motet.study.listing import curves, lost_rows, run_lines
from motet.study.notes import notes
from motet.study.results import Gathered, gather, require_baseline

__all__ = ["compare", "compare_gathered"]


def compare(paths: Sequence[str | Path], *, baseline: str = "") -> Comparison:
    """Compare finished runs that were scored on the same test rows.

    Args:
        paths: the folder of a study, or run folders; runs that differ in nothing but the seed are one variant.
        baseline: the variant that the others are compared with; by default the study's own, or that of the first run.

    Raises:
        RunError: the runs have different test rows or metrics, or there is nothing to compare.

    Example:
        >>> import motet
        >>> comparison = motet.compare(["studies/first"])  # doctest: +SKIP
        >>> [(variant.name, variant.mean) for variant in comparison.variants]  # doctest: +SKIP
    """
    return compare_gathered(gather(paths), baseline)


def compare_gathered(gathered: Gathered, baseline: str = "") -> Comparison:
    """The same for runs that were read already."""
    contest = contest_of(gathered.systems, require_baseline(gathered, baseline))
    gains, drawn = gains_by_task(contest)
    cells = [_cell(contest, at, name, gains) for name in contest.systems for at in range(len(contest.tasks))]
    means = gains_of_means(contest, drawn)
    ranks = mean_ranks(
        {name: {cell.task: cell.mean for cell in cells if cell.variant == name} for name in contest.systems},
        {task.name: task.higher_is_better for task in contest.tasks},
    )
    variants = [_variant(contest, name, means.get(name), ranks[name], gathered.settings) for name in contest.systems]
    return Comparison(
        title=gathered.title,
        baseline=contest.base,
        budget=gathered.budget,
        seeds=tuple(sorted({seed for of in contest.systems.values() for seed in of})),
        tasks=contest.tasks,
        variants=tuple(variants),
        cells=tuple(cells),
        runs=tuple(run_lines(gathered)),
        curves=tuple(curves(contest)),
        lost=tuple(lost_rows(contest)),
        notes=tuple(notes(contest, gathered.budget, variants, cells)),
    )


def _cell(contest: Contest, at: int, variant: str, gains: Mapping[tuple[str, str], Gain]) -> Cell:
    task = contest.tasks[at]
    scores = {seed: contest.score(variant, seed, task) for seed in sorted(contest.systems[variant])}
    values = list(scores.values())
    return Cell(task.name, variant, scores, mean(values), _deviation(values), gains.get((task.name, variant)))


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _variant(
    contest: Contest, name: str, gain: Gain | None, rank: float, settings: Mapping[str, tuple[str, ...]]
) -> Variant:
    systems = contest.systems[name]
    values = [contest.mean_score(name, seed) for seed in systems] if contest.averaged else []
    steps, tokens, seconds = np.mean([system.cost for system in systems.values()], axis=0).tolist()
    of_tasks, of_mean = _relative_gains(contest, name)
    return Variant(
        name=name,
        seeds=tuple(sorted(systems)),
        mean=mean(values) if values else None,
        deviation=_deviation(values),
        gain=gain,
        mean_of_relative_gains=of_tasks,
        relative_gain_of_mean=of_mean,
        rank=rank,
        outcomes=win_tie_loss(list(contest.differences(name))) if name != contest.base else None,
        steps=steps,
        tokens=tokens,
        seconds=seconds,
        settings=settings.get(name, ()),
    )


def _relative_gains(contest: Contest, name: str) -> tuple[float | None, float | None]:
    """In both conventions: per task and then averaged, and of the mean."""
    seeds = contest.shared(name)
    if name == contest.base or not seeds:
        return None, None
    ours, theirs = contest.means(name, seeds), contest.means(contest.base, seeds)
    averaged = {task.name: theirs[task.name] for task in contest.averaged}
    higher = {task.name: task.higher_is_better for task in contest.tasks}
    return mean_of_relative_gains(ours, theirs, higher), relative_gain_of_mean(ours, averaged)
