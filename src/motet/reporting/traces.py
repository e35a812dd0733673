"""The lines of a curve: which checks and losses are joined, and what each piece of line means.

learning   before the task converged, on the trajectory that survived
held       after it converged
discarded  thrown away by a rewind; begins at the peak it fell back to
bridge     the surviving trajectory while the discarded piece was being made: nothing happened on it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from motet.reporting.plain import number
from motet.reporting.record import Checked, Loss, Switch, TaskHistory

__all__ = ["Node", "Trace", "loss_traces", "score_traces"]

# A loss drawn in a strip two inches wide shows no more than this.
PIECES = 120


@dataclass(frozen=True)
class Node:
    """A place on a line: the running mean at a step, and the standard error of the score there."""

    step: float
    value: float
    se: float | None = None


@dataclass
class Trace:
    """A piece of line of one meaning."""

    kind: str
    nodes: list[Node] = field(default_factory=list)


def score_traces(task: TaskHistory, rewinds: Sequence[Switch]) -> list[Trace]:
    """All pieces of the score curve of a task, discarded ones first so that others are drawn over them."""
    checks = [check for check in task.checks if check.mean is not None]
    tails = [trace for rewind in rewinds for trace in _tail(checks, rewind, rewinds)]
    return tails + _joined([check for check in checks if not check.discarded], rewinds)


def _tail(checks: Sequence[Checked], rewind: Switch, rewinds: Sequence[Switch]) -> list[Trace]:
    lost = [check for check in checks if check.discarded == rewind.number]
    if not lost:
        return []
    alive = [c for c in checks if c.step < lost[0].step and (not c.discarded or c.discarded > rewind.number)]
    traces = _joined([*alive[-1:], *lost], [other for other in rewinds if other.number < rewind.number])
    return [Trace("discarded", trace.nodes) for trace in traces]


def _joined(checks: Sequence[Checked], rewinds: Sequence[Switch]) -> list[Trace]:
    if not checks:
        return []
    traces = [Trace(_kind(checks[0]), [_node(checks[0])])]
    for one, other in pairwise(checks):
        jumps = [rewind.step for rewind in rewinds if one.step < rewind.step < other.step]
        start = traces[-1].nodes[-1]
        if jumps:
            traces.append(Trace("bridge", [start, Node(jumps[-1], start.value, start.se)]))
            start = traces[-1].nodes[-1]
        if traces[-1].kind != _kind(other):
            traces.append(Trace(_kind(other), [start]))
        traces[-1].nodes.append(_node(other))
    last = traces[-1].nodes[-1]
    end = max((rewind.step for rewind in rewinds), default=0)
    return [*traces, Trace("bridge", [last, Node(end, last.value)])] if end > last.step else traces


def _kind(check: Checked) -> str:
    return "held" if check.after_switch else "learning"


def _node(check: Checked) -> Node:
    return Node(check.step, number(check.mean) or 0.0, check.score.se)


def loss_traces(task: TaskHistory) -> list[Trace]:
    """The loss curve of a task in at most `PIECES` places, split by kind of loss and by rewind."""
    traces: list[Trace] = []
    width = max(1, -(-len(task.losses) // PIECES))
    for (number_of_rewind, kind), losses in groupby(task.losses, key=lambda loss: (loss.discarded, loss.kind)):
        meaning = "discarded" if number_of_rewind else {"truth": "learning", "blend": "blend"}.get(kind, "held")
        traces.append(Trace(meaning, list(_thinned(list(losses), width))))
    return traces


def _thinned(losses: Sequence[Loss], width: int) -> Iterable[Node]:
    for start in range(0, len(losses), width):
        bucket = losses[start : start + width]
        yield Node(bucket[len(bucket) // 2].step, sum(loss.value for loss in bucket) / len(bucket))
