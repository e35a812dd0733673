"""The page that compares the runs of a study: one self-contained file, with nothing to load from anywhere."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment

from motet.metrics.base import METRICS
from motet.reporting import numerals, study_figures, study_words
from motet.reporting.study_view import Comparison
from motet.reporting.templating import templates_of
from motet.runs import write_atomically

__all__ = ["render", "write"]


def render(comparison: Comparison) -> str:
    """The page as text."""
    used = {task.metric for task in comparison.tasks}
    return (
        _templates()
        .get_template("study.html.j2")
        .render(
            study=comparison,
            headline=study_words.headline(comparison),
            facts=facts(comparison),
            meanings={name: metric.description for name, metric in METRICS.items() if name in used},
            failed=[run for run in comparison.runs if run.status == "failed"],
        )
    )


def write(comparison: Comparison, folder: Path) -> Path:
    """Write `study.html` into a folder."""
    page, text = folder / "study.html", render(comparison)
    write_atomically(page, lambda path: path.write_text(text, encoding="utf-8"))
    return page


def facts(comparison: Comparison) -> list[str]:
    """The line of facts under the heading."""
    counted = [run for run in comparison.runs if run.part == "compared"]
    told = [
        numerals.plural(len(comparison.variants), "variant"),
        numerals.plural(len(comparison.seeds), "seed") + f" ({', '.join(map(str, comparison.seeds))})",
        f"{numerals.plural(len(comparison.runs), 'run')} started, {len(counted)} compared",
        f"budget in {comparison.budget}" if comparison.budget else "",
        numerals.duration(sum(run.seconds for run in comparison.runs)) + " of training",
    ]
    return [fact for fact in told if fact]


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = templates_of("motet.reporting")
    for name in ("count", "duration", "plural"):
        environment.filters[name] = getattr(numerals, name)
    for name in ("p_value", "points", "relative", "value"):
        environment.filters[name] = getattr(study_words, name)
    environment.globals.update(
        between=study_words.between,
        curve_figure=study_figures.curve_figure,
        effect=study_words.effect,
        gain_figure=study_figures.gain_figure,
        key=study_figures.key,
        missing=numerals.MISSING,
        shown=study_words.shown,
        spread=study_words.spread,
    )
    return environment
