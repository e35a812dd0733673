"""The page that tells what happened in a run: one self-contained file, with nothing to load from anywhere.

>>> page = render([{"event": "plan", "steps": 100, "tasks": [{"name": "topic"}]}], {}, "first")
>>> "1 task planned, no step taken yet" in page
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from motet.metrics.base import METRICS
from motet.reporting import bars, costs, figures, numerals, outcome
from motet.reporting.coverage import shared_labels
from motet.reporting.history import read
from motet.reporting.plain import listing, mapping, number, text
from motet.reporting.record import History
from motet.reporting.templating import templates_of
from motet.runs import Event, RunFolder, write_atomically

__all__ = ["render", "write"]


def render(events: Iterable[Event], manifest: Mapping[str, Any], title: str) -> str:
    """The page as text.

    Args:
        events: the surviving events of the run, oldest first.
        manifest: versions, device, data and seeds, as written when the run began.
        title: how the run is called.
    """
    history = read(events)
    rows = outcome.outcomes(history)
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            title=title,
            history=history,
            plan=history.plan,
            manifest=manifest,
            headline=outcome.headline(history),
            story=outcome.story(history),
            facts=facts(history),
            notes=[note for note in map(text, listing(history.plan.get("notes"))) if note],
            meanings=meanings(history),
            labels=shared_labels(history.plan),
            commands=[command for command in map(text, listing(history.plan.get("commands"))) if command],
            rows=rows,
            mean=outcome.mean(rows),
            tests={each.name: outcome.tested(history, each.name) for each in history.candidates},
            phases=costs.phases(history),
            activities=costs.activities(history),
        )
    )


def write(run: RunFolder) -> Path:
    """Write the report of a run into its folder, as it stands now.

    Raises:
        RunError: the folder holds no run, or its manifest cannot be read.
    """
    run.require()
    manifest = run.read_json(run.manifest_file) if run.manifest_file.exists() else {}
    page = render(run.events(), mapping(manifest), run.path.name)

    def fill(path: Path) -> None:
        path.write_text(page, encoding="utf-8")

    write_atomically(run.report_file, fill)
    return run.report_file


def facts(history: History) -> list[str]:
    """The line of facts under the heading: length, time, encoder, precision, seed."""
    plan = history.plan
    told = [_length(history), _time(history), _encoder(mapping(plan.get("encoder"))), _machine(plan)]
    if text(plan.get("seed")):
        told.append(f"seed {text(plan['seed'])}")
    if history.began is not None:
        told.append(f"begun {datetime.fromtimestamp(history.began, timezone.utc):%d %b %Y, %H:%M} UTC")
    return [fact for fact in told if fact]


def _length(history: History) -> str:
    if not history.steps:
        return f"{numerals.count(history.step)} steps" if history.step else ""
    return f"{numerals.count(history.step)} of {numerals.count(history.steps)} steps"


def _time(history: History) -> str:
    seconds = history.wall
    if seconds is None and history.began is not None and history.touched is not None and history.step:
        seconds = history.touched - history.began
    return numerals.duration(seconds) if seconds else ""


def _encoder(encoder: Mapping[str, Any]) -> str:
    name = text(encoder.get("name"))
    layers, parameters = number(encoder.get("layers")), number(encoder.get("parameters"))
    sizes = [f"{numerals.count(layers)} layers"] if layers else []
    sizes += [f"{parameters / 1e6:.1f} M parameters"] if parameters else []
    return name + (f" ({', '.join(sizes)})" if name and sizes else "")


def _machine(plan: Event) -> str:
    device = " on ".join(text(plan[key]) for key in ("precision", "device") if text(plan.get(key)))
    threads = number(plan.get("threads"))
    return device + (f", {numerals.plural(round(threads), 'thread')}" if device and threads else "")


def meanings(history: History) -> dict[str, str]:
    """What every metric that was evaluated means."""
    found = {name for each in (*history.candidates, *history.evaluations) for of in each.scores.values() for name in of}
    return {name: METRICS[name].description for name in METRICS if name in found}


def setting(value: object) -> str:
    """A single value of the settings or the environment."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return text(value) or numerals.MISSING


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = templates_of("motet.reporting")
    for name in ("amount", "count", "duration", "percent", "plural", "score", "size", "with_error"):
        environment.filters[name] = getattr(numerals, name)
    environment.filters["setting"] = setting
    environment.globals.update(
        key=figures.key,
        score_figure=figures.score_figure,
        loss_figure=figures.loss_figure,
        undrawn=figures.undrawn,
        constant=figures.constant,
        logarithmic=figures.logarithmic,
        aftermath=outcome.aftermath,
        timeline=bars.timeline,
        time_bar=bars.time_bar,
        missing=numerals.MISSING,
    )
    return environment
