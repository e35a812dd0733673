"""What a reader of a comparison must know before believing it, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from motet.reporting.numerals import count, joined, percent, plural
from motet.reporting.study_view import Cell, Variant
from motet.significance import FEWEST_SEEDS
from motet.study.contest import Contest

__all__ = ["notes"]

_UNEQUAL = {"steps": 0.01, "tokens": 0.02, "seconds": 0.1}  # how far budgets may lie apart and still be called equal


def notes(contest: Contest, budget: str, variants: Sequence[Variant], cells: Sequence[Cell]) -> Iterator[str]:
    """Unequal budgets, missing seeds, tasks that are left out."""
    yield from _about_budget(budget or "steps", variants)
    yield from _about_seeds(contest)
    yield from _about_tasks(contest)
    fixed = {cell.task for cell in cells if cell.gain is not None and cell.gain.over_rows is None}
    if fixed:
        yield f"Rows cannot be drawn again, so there is no interval: {joined(sorted(fixed))}."


def _about_budget(budget: str, variants: Sequence[Variant]) -> Iterator[str]:
    spent = {variant.name: float(getattr(variant, budget)) for variant in variants}
    least, most = min(spent, key=spent.__getitem__), max(spent, key=spent.__getitem__)
    if spent[most] - spent[least] > _UNEQUAL[budget] * spent[most]:
        more = f", {percent(spent[most] / spent[least] - 1)} more than" if spent[least] else ", more than"
        yield (f"Unequal budgets: {most} had {count(spent[most])} {budget}{more} {least} with {count(spent[least])}.")


def _about_seeds(contest: Contest) -> Iterator[str]:
    few = [name for name in contest.rivals if len(contest.shared(name)) < FEWEST_SEEDS]
    if few:
        yield (
            f"Too few seeds: {joined(few)} and the baseline share fewer than {FEWEST_SEEDS}. There is no test over "
            "seeds, so nothing can be claimed."
        )
    every = {seed for of in contest.systems.values() for seed in of}
    for name, of in contest.systems.items():
        missing = sorted(every - set(of))
        if missing:
            listed = joined(list(map(str, missing)))
            yield f"{name} has no score for {plural(len(missing), 'seed')} ({listed}); pairs with it are left out."


def _about_tasks(contest: Contest) -> Iterator[str]:
    every = {task for of in contest.systems.values() for system in of.values() for task in system.tested}
    rest = sorted(every - {task.name for task in contest.tasks})
    if rest:
        yield f"Not compared, since some variant does not have them: {joined(rest)}."
    apart = [task.name for task in contest.tasks if not task.averaged]
    if apart:
        yield f"Left out of the mean, which is of scores on a scale up to 1 of which more is better: {joined(apart)}."
