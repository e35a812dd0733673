"""The watch page as text: of one run, or of several beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from motet.metrics.base import METRICS
from motet.reporting import bars, costs, figures, numerals, outcome, watch_figures
from motet.reporting.record import History
from motet.reporting.report import facts
from motet.reporting.templating import source_digest, templates_of
from motet.reporting.traces import Node
from motet.reporting.watch_view import View

__all__ = ["Overlay", "address", "overlays", "render_all", "render_run", "rules"]

# Curves of so many runs are drawn over each other, those that were written last.
OVERLAID = 8
STATES = {
    "running": "running",
    "quiet": "silent",
    "waiting": "not begun",
    "interrupted": "interrupted",
    "ended": "ended",
}
SHEETS = ("report.css", "palette.css", "watch.css")


@dataclass(frozen=True)
class Overlay:
    """The running means of one task in several runs."""

    task: str
    metric: str
    higher_is_better: bool
    lines: dict[str, list[Node]]

    @property
    def ratio(self) -> bool:
        """Whether its scale is logarithmic."""
        return self.metric in METRICS and METRICS[self.metric].ratio


def render_run(view: View, *, alone: bool = True) -> str:
    """The page of one run.

    Args:
        view: the run.
        alone: whether it is the only one, so that there is no page of all runs.
    """
    share = f"{numerals.percent(view.progress)} · " if view.progress is not None and view.going else ""
    return _render(view=view, alone=alone, title=f"{share}{view.name}: {view.state.words}")


def render_all(views: Sequence[View], left_out: int = 0) -> str:
    """The page of several runs.

    Args:
        views: the runs.
        left_out: how many more there are.
    """
    headline = _headline([view.state.kind for view in views])
    latest = sorted(views, key=lambda view: view.history.touched or 0.0)[-OVERLAID:]
    shown = [view for view in views if view in latest]
    return _render(
        view=None,
        alone=False,
        title=f"{headline} · motet watch",
        headline=headline,
        views=views,
        left_out=left_out,
        overlays=overlays(shown),
        shown=[view.name for view in shown],
    )


def _headline(kinds: Sequence[str]) -> str:
    if not kinds:
        return "No run yet; the page waits for one to begin"
    told = [f"{kinds.count(kind)} {word}" for kind, word in STATES.items() if kind in kinds]
    return ", ".join([numerals.plural(len(kinds), "run"), *told])


def overlays(views: Sequence[View]) -> list[Overlay]:
    """Tasks that several runs have; every run keeps its place, and so its colour, in all of them."""
    found: dict[tuple[str, str], Overlay] = {}
    for view in views:
        for task in view.history.tasks.values():
            new = Overlay(task.name, task.metric, task.higher_is_better, {each.name: [] for each in views})
            nodes = [Node(at.step, at.mean) for at in task.checks if at.mean is not None and not at.discarded]
            found.setdefault((task.name, task.metric), new).lines[view.name].extend(nodes)
    return [overlay for overlay in found.values() if sum(map(bool, overlay.lines.values())) > 1]


def address(name: str) -> str:
    """Where the page of a run is.

    Example:
        >>> address("first/seed 0")
        '/run/first/seed%200'
    """
    return f"/run/{quote(name)}"


def in_order(lines: Mapping[str, list[Node]], history: History) -> dict[str, list[Node]]:
    """The lines in the order of the tasks, so that a task has one colour in all drawings."""
    return {name: lines.get(name, []) for name in dict.fromkeys([*history.tasks, *lines])}


def tint(degrees: float | None) -> str:
    """The class of an angle: how far two gradients pull together or against each other, in five shades.

    Example:
        >>> tint(91.0), tint(170.0), tint(60.0), tint(89.0), tint(None)
        ('near', 'against-4', 'with-2', 'near', 'self')
    """
    if degrees is None:
        return "self"
    shade = round((degrees - 90) / 90 * 5)
    return f"{'against' if shade > 0 else 'with'}-{min(5, abs(shade))}" if shade else "near"


@lru_cache(maxsize=1)
def rules() -> str:
    """The content security policy of the page: its own style and script, and nothing else from anywhere."""
    style, script = (source_digest(text) for text in (_style(), _script()))
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _style() -> str:
    return "\n".join(_source(name) for name in SHEETS)


def _script() -> str:
    return _source("watch.js")


@lru_cache
def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _render(**values: object) -> str:
    own = {"style": Markup(_style()), "script": Markup(_script())}
    return _environment().get_template("watch.html.j2").render({**values, **own})


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = templates_of("motet.reporting")
    for name in ("amount", "count", "duration", "percent", "plural", "score"):
        environment.filters[name] = getattr(numerals, name)
        environment.globals[name] = getattr(numerals, name)
    environment.globals.update(
        activities=costs.activities,
        address=address,
        constant=figures.constant,
        facts=facts,
        in_order=in_order,
        in_words=outcome.state_in_words,
        key=watch_figures.key,
        lines_figure=watch_figures.lines_figure,
        logarithmic=figures.logarithmic,
        loss_figure=figures.loss_figure,
        missing=numerals.MISSING,
        sample=figures.key,
        score_figure=figures.score_figure,
        time_bar=bars.time_bar,
        timeline=bars.timeline,
        tint=tint,
        undrawn=figures.undrawn,
    )
    return environment
