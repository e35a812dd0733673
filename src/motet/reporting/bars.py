"""The bars of the report: what each task did at every step, and where the time went.

Their widths are in percent, so that text keeps its size on a telephone.

A task that learns is a broad bar, one that is held a thin one, like a note that is kept; no colour is needed to tell
them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from motet.reporting.costs import Activity
from motet.reporting.figures import AFTER
from motet.reporting.numerals import count, duration, percent, score
from motet.reporting.outcome import state_in_words
from motet.reporting.record import History, TaskHistory
from motet.reporting.svg import Scale, drawing, element, polygon

__all__ = ["time_bar", "timeline"]

ROW, BAR = 46.0, 12.0
# A longer name would run into the state on a telephone.
LONGEST = 24


def timeline(history: History, identity: str) -> Markup:
    """Which task learned or was held when, over the physical steps of the run."""
    end = history.last_step if history.ended else max(history.last_step, history.steps or 0)
    if not history.tasks or not history.last_step:
        return Markup("")
    scale = Scale(0, end, 0, 100)
    rows = [_row(history, task, scale, at * ROW) for at, task in enumerate(history.tasks.values())]
    bottom = len(rows) * ROW + 4
    words = " ".join(f"{task.name}: {_state(history, task)}." for task in history.tasks.values())
    parts = [*rows, *_axis(scale, bottom)]
    return drawing(identity, "What each task did at every step", words, parts, "timeline", bottom + 24)


def _state(history: History, task: TaskHistory) -> str:
    switch = task.switch
    words = state_in_words(history, task)
    return f"{AFTER.get(switch.then, words)} from {count(switch.step)}" if switch else words


def _row(history: History, task: TaskHistory, scale: Scale, top: float) -> Markup:
    kind = "held" if task.switch else "learning"
    middle = top + 24 + BAR / 2
    return element(
        "g",
        element("text", element("title", task.name), _short(task.name), x=0, y=top + 16, class_="name"),
        element("text", _state(history, task), x="100%", y=top + 16, class_=f"label {kind}", text_anchor="end"),
        *(_span(scale, start, end, kind, middle) for start, end, kind in _spans(task, history.last_step)),
        *(_span(scale, rewind.best_step, rewind.step, "lost", middle) for rewind in history.rewinds),
        *(_tick(scale, switch.step, middle) for switch in task.switches),
        *_peak(task, scale, middle),
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _spans(task: TaskHistory, end: int) -> list[tuple[int, int, str]]:
    """What the task did from when to when: it learns, until it converges, until it is reopened."""
    changes = [(switch.step, "held" if switch.then != "drop" else "dropped") for switch in task.switches]
    changes += [(reopening.step, "learning") for reopening in task.reopenings]
    changes = [(0, "learning"), *sorted(changes), (end, "")]
    return [(start, changes[at + 1][0], kind) for at, (start, kind) in enumerate(changes[:-1])]


def _span(scale: Scale, start: int, end: int, kind: str, middle: float) -> Markup:
    height = {"held": 4.0, "dropped": 1.0}.get(kind, BAR)
    place = {"x": f"{scale(start):.2f}%", "width": f"{max(0.0, scale(end) - scale(start)):.2f}%"}
    return element("rect", y=middle - height / 2, height=height, class_=f"span {kind}", **place)


def _tick(scale: Scale, step: int, middle: float) -> Markup:
    place = {"x1": f"{scale(step):.2f}%", "x2": f"{scale(step):.2f}%"}
    return element("line", y1=middle - BAR / 2 - 3, y2=middle + BAR / 2 + 3, class_="mark switch", **place)


def _peak(task: TaskHistory, scale: Scale, middle: float) -> list[Markup]:
    if task.peak is None:
        return []
    words = f"peak {score(task.peak.mean)} at step {count(task.peak.step)}"
    diamond = element("path", element("title", words), d=polygon([(0, -5), (5, 0), (0, 5), (-5, 0)]), class_="peak")
    return [element("svg", diamond, x=f"{scale(task.peak.step):.2f}%", y=middle, overflow="visible")]


def _axis(scale: Scale, y: float) -> list[Markup]:
    drawn = [element("line", x1=0, x2="100%", y1=y, y2=y, class_="axis")]
    for value, text in scale.labelled(5):
        share = scale(value)
        anchor = "start" if share < 2 else "end" if share > 96 else "middle"
        drawn.append(element("line", x1=f"{share:.2f}%", x2=f"{share:.2f}%", y1=y, y2=y + 4, class_="axis"))
        words = f"step {text}" if value == 0 else text
        drawn.append(element("text", words, x=f"{share:.2f}%", y=y + 18, class_="tick", text_anchor=anchor))
    return drawn


def time_bar(activities: Sequence[Activity], identity: str) -> Markup:
    """Where the time went, as one bar."""
    total = sum(activity.seconds for activity in activities)
    if not total:
        return Markup("")
    drawn, before = [], 0.0
    for activity in activities:
        share = activity.seconds / total
        title = element("title", f"{activity.label}: {duration(activity.seconds)}, {percent(share)}")
        place = {"x": f"{100 * before:.2f}%", "width": f"{100 * share:.2f}%"}
        drawn.append(element("rect", title, y=0, height=18, class_=f"share {activity.kind}", **place))
        before += share
    words = "; ".join(f"{activity.label} {duration(activity.seconds)}" for activity in activities)
    return drawing(identity, "Where the time went", words, drawn, "bar", 18.0)
