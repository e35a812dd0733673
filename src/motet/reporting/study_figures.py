"""The drawings of a study: gains with their intervals, and the validation curves of all variants over each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from motet.metrics.base import METRICS
from motet.reporting import study_words as words
from motet.reporting.plot import LEFT, RIGHT, WIDTH, Plot, axes, line
from motet.reporting.study_view import Comparison, Curve, Gain, Task
from motet.reporting.svg import Scale, drawing, element
from motet.reporting.traces import Node, Trace

__all__ = ["curve_figure", "gain_figure", "key"]

Row = tuple[str, str, Gain]

ROW, COLOURS = 40.0, 8


def colour(comparison: Comparison, variant: str) -> str:
    """The class of a variant in the style sheet; the baseline has the first."""
    names = [each.name for each in comparison.variants]
    at = names.index(variant)
    return f"v{at if at < COLOURS else 1 + (at - 1) % (COLOURS - 1)}" + (" dashed" if at >= COLOURS else "")


def key(comparison: Comparison, variant: str) -> Markup:
    """A sample of a line for the legend."""
    drawn = element("line", x1=1, x2=25, y1=7, y2=7, class_=f"line {colour(comparison, variant)}")
    return element("svg", drawn, class_="key", width=26, height=14, aria_hidden="true")


def gain_figure(comparison: Comparison, identity: str) -> Markup:
    """The gain of every variant over the baseline, in points: the mean first, then task by task."""
    rows = list(_gains(comparison))
    if not rows:
        return Markup("")
    reach = [edge for _, _, gain in rows for edge in _edges(gain)]
    scale = Scale.around([0.0, *reach], 0, 100)
    bottom = len(rows) * ROW + 4
    zero = f"{scale(0.0):.2f}%"
    parts = [
        element("line", x1=zero, x2=zero, y1=0, y2=bottom, class_="reference"),
        *(_row(comparison, row, scale, at * ROW, first) for at, (row, first) in enumerate(_firsts(rows))),
        *_axis(scale, bottom),
    ]
    told = "; ".join(f"{name}, {variant}: {words.points(gain.value)}" for name, variant, gain in rows)
    title = f"Gains over {comparison.baseline} in points"
    return drawing(identity, title, f"{told}.", parts, "timeline gains", bottom + 24)


def _gains(comparison: Comparison) -> Iterator[Row]:
    """What each row is about, its variant, and its gain."""
    if len(comparison.averaged) > 1:
        for variant in comparison.variants:
            if variant.gain is not None:
                yield f"Mean of {len(comparison.averaged)} tasks", variant.name, variant.gain
    for task in (task for task in comparison.tasks if task.share):
        for cell in (cell for cell in comparison.cells if cell.task == task.name):
            if cell.gain is not None:
                yield task.name, cell.variant, cell.gain


def _firsts(rows: Sequence[Row]) -> Iterator[tuple[Row, bool]]:
    """Every row, and whether it is the first of its task."""
    for at, row in enumerate(rows):
        yield row, at == 0 or rows[at - 1][0] != row[0]


def _edges(gain: Gain) -> tuple[float, ...]:
    """How far a row reaches, in points."""
    ends = (gain.over_rows.low, gain.over_rows.high) if gain.over_rows else ()
    return tuple(100 * end for end in (gain.value, *ends))


def _row(comparison: Comparison, row: Row, scale: Scale, top: float, first: bool) -> Markup:
    name, variant, gain = row
    kind, middle = colour(comparison, variant), top + 27
    value, *ends = _edges(gain)
    bar = [_level(scale, ends[0], ends[1], middle, f"line {kind}")] if ends else []
    place = {"cx": f"{scale(value):.2f}%"}
    title = element("title", f"{name}, {variant}: {words.points(gain.value)}, {words.between(gain)}")
    told = f"{words.points(gain.value)}  {gain.verdict}"
    return element(
        "g",
        element("text", element("tspan", name if first else "", class_="name"), f" {variant}", x=0, y=top + 16),
        element("text", told, x="100%", y=top + 16, class_="label", text_anchor="end"),
        *bar,
        element("circle", title, cy=middle, r=4.5, class_=f"gain {kind}", **place),
    )


def _level(scale: Scale, start: float, end: float, y: float, class_: str) -> Markup:
    return element("line", x1=f"{scale(start):.2f}%", x2=f"{scale(end):.2f}%", y1=y, y2=y, class_=class_)


def _axis(scale: Scale, y: float) -> Iterator[Markup]:
    yield element("line", x1=0, x2="100%", y1=y, y2=y, class_="axis")
    for at, text in scale.labelled(6):
        place = f"{scale(at):.2f}%"
        anchor = "start" if scale(at) < 2 else "end" if scale(at) > 96 else "middle"
        yield element("line", x1=place, x2=place, y1=y, y2=y + 4, class_="axis")
        sign = "+" if at > 0 else ""
        yield element("text", f"{sign}{text}", x=place, y=y + 18, class_="tick", text_anchor=anchor)


def curve_figure(comparison: Comparison, task: Task, identity: str) -> Markup:
    """The validation score of a task in every run, a line a seed."""
    curves = [curve for curve in comparison.curves if curve.task == task.name and curve.points]
    if not curves:
        return Markup("")
    last = max(curve.points[-1][0] for curve in curves)
    ratio = task.metric in METRICS and METRICS[task.metric].ratio
    shown = _usual([score for curve in curves for _, score in curve.points])
    plot = Plot(identity, Scale(0, last or 1, LEFT, RIGHT), Scale.around(shown, 206, 12, ratio=ratio))
    lines = [line(plot, Trace(colour(comparison, curve.variant), _nodes(curve))) for curve in curves]
    title = f"Validation {task.metric} of {task.name}"
    return drawing(
        identity, title, _told(comparison, curves), [axes(plot, 4), plot.inside(*lines)], "curve", (WIDTH, 236)
    )


def _usual(scores: Sequence[float]) -> list[float]:
    """The scores without a first few that lie so far away that they would flatten all curves."""
    ordered = sorted(scores)
    cut = len(ordered) // 20
    inner = ordered[cut : len(ordered) - cut] or ordered
    air = 0.5 * (inner[-1] - inner[0])
    return [score for score in ordered if inner[0] - air <= score <= inner[-1] + air]


def _nodes(curve: Curve) -> list[Node]:
    return [Node(step, score) for step, score in curve.points]


def _told(comparison: Comparison, curves: Sequence[Curve]) -> str:
    ends = {
        variant.name: [curve.points[-1][1] for curve in curves if curve.variant == variant.name]
        for variant in comparison.variants
    }
    return "; ".join(f"{name} ends at {min(of):.3f} to {max(of):.3f}" for name, of in ends.items() if of) + "."
