"""A comparison on the terminal: a row for every variant, then one for every task and variant."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from motet.reporting import study_words as words
from motet.reporting.numerals import MISSING, joined, plural
from motet.reporting.study_view import Cell, Comparison, Gain, Variant

__all__ = ["parts"]

_SUMMARY = (
    ("variant", "mean", "gain", "interval", "p rows", "p seeds", "verdict"),
    ("variant", "mean relative gain", "gain of mean", "rank", "w / t / l", "seeds", "steps", "tokens", "time"),
)
_TASKS = ("task", "variant", "test", "gain", "interval", "p rows", "p seeds", "g", "verdict")
_WORDS = ("task", "variant", "verdict")


def parts(comparison: Comparison) -> Iterator[Table | Text]:
    """What is printed, one below the other."""
    yield Text(_heading(comparison), style="bold")
    yield _table(_SUMMARY[0], [_trusted(comparison, variant) for variant in comparison.variants])
    yield _table(_SUMMARY[1], [_counted(variant) for variant in comparison.variants])
    yield _table(_TASKS, [row for task in comparison.tasks for row in _of_task(comparison, task.name)])
    yield Text(_legend(comparison))
    for note in comparison.notes:
        yield Text(f"note: {note}", style="yellow")


def _heading(comparison: Comparison) -> str:
    budget = f", equal {comparison.budget} meant" if comparison.budget else ""
    return f"{comparison.title}: {words.headline(comparison)} ({plural(len(comparison.seeds), 'seed')}{budget})"


def _legend(comparison: Comparison) -> str:
    averaged = [task.name for task in comparison.averaged]
    of = f"mean of {joined(averaged)}" if averaged else "no task has a score that can be averaged"
    return (
        f"test, {of}; ± is the standard deviation over seeds; scores in percent, gains in points over "
        f"{comparison.baseline}. interval: 95 %, bootstrap over test rows. p rows: the same; p seeds: paired t-test; "
        "both after Holm over all rows of a table. g: Hedges' g over seeds. w / t / l: wins, ties and losses over "
        "pairs of a task and a seed."
    )


def _table(head: tuple[str, ...], rows: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        table.add_column(name, justify="left" if name in _WORDS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _trusted(comparison: Comparison, variant: Variant) -> list[str]:
    mean = words.spread(variant.mean, variant.deviation)
    if variant.name == comparison.baseline:
        return [variant.name, mean, *[""] * 4, "baseline"]
    return [variant.name, mean, *_tested(variant.gain)]


def _tested(gain: Gain | None, share: bool = True) -> list[str]:
    if gain is None:
        return [*[MISSING] * 4, "no seed in common"]
    p_values = (words.p_value(gain.p_rows), words.p_value(gain.p_seeds))
    return [words.points(gain.value, share), words.between(gain, share), *p_values, gain.verdict]


def _counted(variant: Variant) -> list[str]:
    outcomes = " / ".join(map(str, variant.outcomes)) if variant.outcomes else ""
    relative = [words.relative(found) for found in (variant.mean_of_relative_gains, variant.relative_gain_of_mean)]
    blank = variant.outcomes is None
    gains = ["", ""] if blank else relative
    return [variant.name, *gains, f"{variant.rank:.2f}", outcomes, str(len(variant.seeds)), *words.spent(variant)]


def _of_task(comparison: Comparison, task: str) -> Iterator[list[str]]:
    for at, variant in enumerate(comparison.variants):
        cell = comparison.cell(task, variant.name)
        found = words.shown(comparison, cell)
        yield [f"{found.name} ({found.metric})" if not at else "", *_of_cell(comparison, cell, found.share)]


def _of_cell(comparison: Comparison, cell: Cell, share: bool) -> list[str]:
    test = words.spread(cell.mean, cell.deviation, share)
    if cell.variant == comparison.baseline:
        return [cell.variant, test, *[""] * 5, "baseline"]
    *numbers, verdict = _tested(cell.gain, share)
    return [cell.variant, test, *numbers, words.effect(cell.gain) if cell.gain else MISSING, verdict]
