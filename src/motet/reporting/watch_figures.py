"""The drawings of the watch page that a report has not: one line a task, or one a run, over physical steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from motet.reporting.numerals import count
from motet.reporting.plot import LEFT, RIGHT, WIDTH, Plot, axes, line
from motet.reporting.svg import Scale, drawing, element
from motet.reporting.traces import Node, Trace

__all__ = ["hue", "key", "lines_figure"]

# Colours of the style sheet; from the ninth line on they come again, dashed.
COLOURS = 8
HEIGHT = 176.0


def hue(at: int) -> str:
    """The class of the line at a position.

    Example:
        >>> hue(0), hue(8)
        ('v0', 'v0 dashed')
    """
    return f"v{at % COLOURS}" + (" dashed" if at // COLOURS % 2 else "")


def key(at: int) -> Markup:
    """A sample of that line for the legend."""
    drawn = element("line", x1=1, x2=25, y1=7, y2=7, class_=f"line {hue(at)}")
    return element("svg", drawn, class_="key", width=26, height=14, aria_hidden="true")


def lines_figure(
    lines: Mapping[str, Sequence[Node]],
    title: str,
    identity: str,
    told: Callable[[float], str],
    *,
    low: float | None = None,
    ratio: bool = False,
) -> Markup:
    """Several lines over each other.

    Args:
        lines: the places of each, by name; the order chooses the colours.
        title: what they show.
        identity: a name that no other drawing of the page has.
        told: writes one of their values.
        low: where the upright axis begins at the latest.
        ratio: whether that axis is logarithmic.
    """
    drawn = {name: nodes for name, nodes in lines.items() if nodes}
    if not drawn:
        return Markup("")
    values = [node.value for nodes in drawn.values() for node in nodes] + ([] if low is None else [low])
    last = max(nodes[-1].step for nodes in drawn.values())
    plot = Plot(identity, Scale(0, last or 1, LEFT, RIGHT), _upright(values, low, ratio))
    parts = [_named(plot, name, nodes, at, told) for at, (name, nodes) in enumerate(lines.items()) if nodes]
    ends = "; ".join(f"{name} stands at {told(nodes[-1].value)}" for name, nodes in drawn.items())
    inside = [axes(plot, 4), plot.inside(*parts)]
    return drawing(identity, title, f"Up to step {count(last)}: {ends}.", inside, "curve lines", (WIDTH, HEIGHT))


def _upright(values: Sequence[float], low: float | None, ratio: bool) -> Scale:
    scale = Scale.around(values, HEIGHT - 30, 12, ratio=ratio)
    at_edge = low is not None and low == min(values)
    return Scale(low, scale.high, scale.start, scale.end) if at_edge and low is not None and not ratio else scale


def _named(plot: Plot, name: str, nodes: Sequence[Node], at: int, told: Callable[[float], str]) -> Markup:
    """A line with its name; a single place is a dot."""
    title = element("title", f"{name}: {told(nodes[-1].value)} at step {count(nodes[-1].step)}")
    if len(nodes) == 1:
        x, y = plot.place(nodes[0])
        return element("circle", title, cx=x, cy=y, r=3, class_=f"single {hue(at)}")
    return element("g", title, line(plot, Trace(hue(at), list(nodes))))
