"""The area of a curve: its axes, and the marks that lie inside it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from motet.reporting.numerals import count, with_error
from motet.reporting.record import Checked, Switch
from motet.reporting.svg import Scale, element, path, polygon
from motet.reporting.traces import Node, Trace

__all__ = ["LEFT", "RIGHT", "WIDTH", "Plot", "axes", "band", "dot", "line", "lost"]

LEFT, RIGHT, WIDTH = 42.0, 376.0, 460.0


@dataclass(frozen=True)
class Plot:
    """The area of a curve: its scales and the name under which it clips."""

    identity: str
    x: Scale
    y: Scale

    def place(self, node: Node) -> tuple[float, float]:
        """Where a node lies on the page."""
        return self.x(node.step), self.y(node.value)

    def inside(self, *children: Markup) -> Markup:
        """What is cut off at the edges of the area."""
        area = element("rect", x=LEFT, y=self.y.end - 4, width=RIGHT - LEFT, height=self.y.start - self.y.end + 8)
        clip = element("clipPath", area, id=f"{self.identity}-clip")
        return clip + element("g", *children, clip_path=f"url(#{self.identity}-clip)")


def axes(plot: Plot, wanted: int, steps: bool = True) -> Markup:
    """Both axes, with about so many ticks on the upright one; `steps` says whether the level one has numbers."""
    drawn = []
    for value, text in plot.y.labelled(wanted):
        y = plot.y(value)
        drawn.append(element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", text, x=LEFT - 6, y=y + 4, class_="tick", text_anchor="end"))
    base = plot.y.start
    for value, text in plot.x.labelled(5):
        drawn.append(element("line", x1=plot.x(value), x2=plot.x(value), y1=base, y2=base + 4, class_="axis"))
        words = f"step {text}" if value == 0 else text
        if steps:
            drawn.append(element("text", words, x=plot.x(value), y=base + 18, class_="tick", text_anchor="middle"))
    drawn.append(element("line", x1=LEFT, x2=RIGHT, y1=base, y2=base, class_="axis"))
    return element("g", *drawn)


def lost(plot: Plot, rewind: Switch) -> Markup:
    """The steps that a rewind threw away."""
    start, end = plot.x(rewind.best_step), plot.x(rewind.step)
    words = f"{count(rewind.discarded)} steps rewound when {rewind.task} converged"
    top, height = plot.y.end, plot.y.start - plot.y.end
    return element("rect", element("title", words), x=start, y=top, width=end - start, height=height, class_="lost")


def line(plot: Plot, trace: Trace) -> Markup:
    """A piece of line."""
    return element("path", d=path(map(plot.place, trace.nodes)), class_=f"line {trace.kind}")


def band(plot: Plot, trace: Trace) -> Markup:
    """One standard error around a piece of line that survived."""
    known = [(node, node.se) for node in trace.nodes if node.se is not None]
    if trace.kind not in ("learning", "held") or len(known) < 2:
        return Markup("")
    upper = [plot.place(Node(node.step, node.value + se)) for node, se in known]
    lower = [plot.place(Node(node.step, node.value - se)) for node, se in reversed(known)]
    return element("path", d=polygon(upper + lower), class_=f"band {trace.kind}")


def dot(plot: Plot, check: Checked) -> Markup:
    """The score of a single check."""
    if check.score.value is None:
        return Markup("")
    kind = "discarded" if check.discarded else "held" if check.after_switch else "learning"
    words = f"step {count(check.step)}: {with_error(check.score)}" + (", discarded" if check.discarded else "")
    x, y = plot.x(check.step), plot.y(check.score.value)
    return element("circle", element("title", words), cx=x, cy=y, r=2, class_=f"dot {kind}")
