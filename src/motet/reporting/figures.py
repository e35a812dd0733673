"""The curves of the report: validation score and training loss of a task over the physical steps of the run.

They have a fixed inner size and scale with the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from motet.metrics.base import METRICS
from motet.reporting.numerals import count, score
from motet.reporting.plot import LEFT, RIGHT, WIDTH, Plot, axes, band, dot, line, lost
from motet.reporting.record import Checked, History, TaskHistory
from motet.reporting.svg import Scale, drawing, element, polygon
from motet.reporting.traces import loss_traces, score_traces

__all__ = ["constant", "key", "logarithmic", "loss_figure", "score_figure", "undrawn"]

# Room that a character and a line of a label take on a narrow page, where the style sheet makes them largest.
CHARACTER = 8.6
LINE = 15.0
AFTER = {"distill": "held", "continue": "trained on", "drop": "dropped", "stop": "stopped"}


def score_figure(task: TaskHistory, history: History, identity: str) -> Markup:
    """The validation score of a task over the physical steps of the run, with everything that happened to it."""
    checks = [check for check in task.checks if check.mean is not None]
    if not checks:
        return Markup("")
    plot = Plot(identity, Scale(0, history.last_step or 1, LEFT, RIGHT), _score_scale(task, checks))
    traces = score_traces(task, history.rewinds)
    parts = [
        *(lost(plot, rewind) for rewind in history.rewinds),
        axes(plot, 4),
        *_constant_line(plot, task),
        *_peak_line(plot, task),
        plot.inside(
            *(band(plot, trace) for trace in traces),
            *(dot(plot, check) for check in checks),
            *(line(plot, trace) for trace in traces),
        ),
        *_marks(plot, task),
        *_peak_marker(plot, task),
        *_end_labels(plot, task),
    ]
    title = f"Validation {task.metric or 'score'} of {task.name}"
    return drawing(identity, title, describe(task, checks), parts, "curve", (WIDTH, 236.0))


def undrawn(task: TaskHistory) -> str:
    """Where the curve begins, if that is not drawn."""
    checks = [check for check in task.checks if check.mean is not None]
    first = checks[0].mean if checks else None
    scale = _score_scale(task, checks) if checks else None
    if first is None or scale is None or scale.low <= first <= scale.high:
        return ""
    return f"begins at {score(first)}"


def constant(task: TaskHistory) -> str:
    """What the best answer that ignores the text scores, if there is one."""
    return "" if task.baseline is None else f"constant {score(task.baseline)}"


def logarithmic(task: TaskHistory) -> str:
    """That the scale of the curve is logarithmic, if it is."""
    checks = [check for check in task.checks if check.mean is not None]
    return "logarithmic scale" if checks and _score_scale(task, checks).ratio else ""


def describe(task: TaskHistory, checks: Sequence[Checked]) -> str:
    """The curve in words."""
    told = [f"Starts at {score(checks[0].mean)}"]
    if task.baseline is not None:
        told.append(f"a constant answer scores {score(task.baseline)}")
    if task.peak:
        told.append(f"peaks at {score(task.peak.mean)} at step {count(task.peak.step)}")
    for switch in task.switches:
        told.append(f"is {AFTER.get(switch.then, 'converged')} from step {count(switch.step)}")
        told[-1] += f" after a rewind of {count(switch.discarded)} steps" if switch.rewound else ""
    told += [f"is reopened at step {count(reopening.step)}" for reopening in task.reopenings]
    if task.last:
        told.append(f"ends at {score(task.last.mean)}")
    return ", ".join(told) + "."


def _score_scale(task: TaskHistory, checks: Sequence[Checked]) -> Scale:
    """The range above the first climb: that is where a peak and what follows can be told apart."""
    shown = checks[_climbed(task, checks) :]
    values = [value for check in shown for value in (check.score.value, check.mean) if value is not None]
    bands = [(check.mean, check.score.se) for check in shown]
    values += [mean + sign * se for mean, se in bands if mean is not None and se is not None for sign in (-1, 1)]
    if task.peak and task.peak.mean is not None:
        values.append(task.peak.mean)
    values += _constant_in_reach(task, min(values), max(values))
    return Scale.around(values, 206, 26, ratio=_by_ratio(task))


def _constant_in_reach(task: TaskHistory, low: float, high: float) -> list[float]:
    """The score of a constant answer, where showing it leaves at least half of the range to the curve."""
    near = task.baseline is not None and 2 * low - high <= task.baseline <= 2 * high - low
    return [task.baseline] if task.baseline is not None and near else []


def _by_ratio(task: TaskHistory) -> bool:
    return task.metric in METRICS and METRICS[task.metric].ratio


def _climbed(task: TaskHistory, checks: Sequence[Checked]) -> int:
    """The first check of the range: after most of the climb where a peak followed, else the first of all."""
    means = [check.mean for check in checks if check.mean is not None]
    if _by_ratio(task) and min(means) > 0:
        means = [math.log(mean) for mean in means]
    best = max(means) if task.higher_is_better else min(means)
    climbed = means[0] + 0.8 * (best - means[0])
    start = next((at for at, mean in enumerate(means) if not task.better(climbed, mean)), 0)
    return start if task.switches and len(checks) - start >= 3 else 0


def _constant_line(plot: Plot, task: TaskHistory) -> list[Markup]:
    if task.baseline is None or not plot.y.low <= task.baseline <= plot.y.high:
        return []
    y = plot.y(task.baseline)
    words = f"a constant answer scores {score(task.baseline)}"
    return [element("line", element("title", words), x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="constant")]


def _peak_line(plot: Plot, task: TaskHistory) -> list[Markup]:
    if task.peak is None or task.peak.mean is None:
        return []
    y = plot.y(task.peak.mean)
    return [element("line", x1=plot.x(task.peak.step), x2=RIGHT, y1=y, y2=y, class_="reference")]


def _peak_marker(plot: Plot, task: TaskHistory) -> list[Markup]:
    if task.peak is None or task.peak.mean is None:
        return []
    x, y = plot.x(task.peak.step), plot.y(task.peak.mean)
    diamond = polygon([(x, y - 5.5), (x + 5.5, y), (x, y + 5.5), (x - 5.5, y)])
    words = f"peak {score(task.peak.mean)} at step {count(task.peak.step)}"
    return [element("path", element("title", words), d=diamond, class_="peak")]


def _marks(plot: Plot, task: TaskHistory) -> list[Markup]:
    events = [(switch.step, AFTER.get(switch.then, "converged"), "switch") for switch in task.switches]
    events += [(reopening.step, "reopened", "reopening") for reopening in task.reopenings]
    drawn, free = [], 0.0
    for step, word, kind in sorted(events):
        x, text = plot.x(step), f"{word} from {count(step)}"
        title = element("title", text)
        drawn.append(element("line", title, x1=x, x2=x, y1=8, y2=plot.y.start, class_=f"mark {kind}"))
        length = CHARACTER * len(text)
        start = x + 5 if x + 5 + length < WIDTH else x - 5 - length
        if start >= free:
            anchor, at = ("start", x + 5) if start > x else ("end", x - 5)
            drawn.append(element("text", text, x=at, y=15, class_=f"label {kind}", text_anchor=anchor))
            free = start + length + 6
    return drawn


def _end_labels(plot: Plot, task: TaskHistory) -> list[Markup]:
    labels = []
    if task.peak and task.peak.mean is not None:
        labels.append((plot.y(task.peak.mean), f"peak {score(task.peak.mean)}", "label peak"))
    at_peak = task.peak is not None and task.last is not None and task.last.step == task.peak.step
    if task.last and task.last.mean is not None and not (labels and at_peak):
        kind = "held" if task.last.after_switch else "learning"
        labels.append((plot.y(task.last.mean), f"end {score(task.last.mean)}", f"label {kind}"))
    labels.sort()
    if len(labels) == 2 and labels[1][0] - labels[0][0] < LINE:
        middle = (labels[0][0] + labels[1][0]) / 2
        labels = [(middle + side * LINE / 2, *label[1:]) for side, label in zip((-1, 1), labels, strict=True)]
    return [element("text", text, x=RIGHT + 10, y=y + 4, class_=kind) for y, text, kind in labels]


def loss_figure(task: TaskHistory, history: History, identity: str) -> Markup:
    """The training loss of a task, true labels and soft labels told apart."""
    traces = loss_traces(task)
    if not traces:
        return Markup("")
    values = sorted(node.value for trace in traces for node in trace.nodes)
    usual = [*values[: max(2, int(0.97 * len(values)))], 0.0 if values[0] >= 0 else values[0]]
    plot = Plot(identity, Scale(0, history.last_step or 1, LEFT, RIGHT), Scale.around(usual, 74, 8))
    kind, last = next(((t.kind, t.nodes[-1]) for t in reversed(traces) if t.kind != "discarded"), ("", None))
    words = f"From {score(traces[0].nodes[0].value)} to {score(last.value if last else None)}."
    parts = [
        *(lost(plot, rewind) for rewind in history.rewinds),
        axes(plot, 2, steps=False),
        plot.inside(*(line(plot, trace) for trace in traces)),
    ]
    if last is not None:
        place = (RIGHT + 10, plot.y(last.value) + 4)
        parts.append(element("text", f"loss {score(last.value)}", x=place[0], y=place[1], class_=f"label {kind}"))
    return drawing(identity, f"Training loss of {task.name}", words, parts, "curve", (WIDTH, 82.0))


def key(kind: str) -> Markup:
    """A sample of a mark for the legend."""
    marks = {
        "dot": element("circle", cx=13, cy=7, r=2.5, class_="dot learning"),
        "band": element("rect", x=1, y=2, width=24, height=10, class_="band learning"),
        "peak": element("path", d=polygon([(13, 1.5), (18.5, 7), (13, 12.5), (7.5, 7)]), class_="peak"),
        "reference": element("line", x1=1, x2=25, y1=7, y2=7, class_="reference"),
        "constant": element("line", x1=1, x2=25, y1=7, y2=7, class_="constant"),
        "switch": element("line", x1=13, x2=13, y1=0, y2=14, class_="mark switch"),
        "lost": element("rect", x=1, y=0, width=24, height=14, class_="lost"),
    }
    mark = marks.get(kind) or element("line", x1=1, x2=25, y1=7, y2=7, class_=f"line {kind}")
    return element("svg", mark, width=26, height=14, aria_hidden="true", class_="key")
