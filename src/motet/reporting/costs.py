"""Time and tokens: training by phase, where a phase ends when a task converges, and everything around training."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from motet.reporting.numerals import joined
from motet.reporting.record import History, Work

__all__ = ["Activity", "Phase", "activities", "phases"]


@dataclass(frozen=True)
class Phase:
    """The training steps between two convergence events."""

    label: str
    first: int
    last: int
    seconds: float
    tokens: int
    padded: int

    @property
    def padding(self) -> float | None:
        """The share of what was computed that was padding."""
        return 1 - self.tokens / self.padded if self.padded else None

    @property
    def speed(self) -> float | None:
        """Real tokens a second."""
        return self.tokens / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Activity:
    """A share of the time of the run; `kind` names its colour."""

    kind: str
    label: str
    seconds: float
    occasions: int | None = None


def phases(history: History) -> list[Phase]:
    """Training time between convergence events, and the sum of it when there is more than one phase."""
    ends = sorted({switch.step for switch in history.switches})
    groups: dict[int, list[Work]] = {}
    for work in history.work:
        groups.setdefault(bisect_left(ends, work.step), []).append(work)
    found, before = [], 0
    for position, works in sorted(groups.items()):
        found.append(_phase(_label(history, ends, position), before + 1, works))
        before = works[-1].step
    return [*found, _phase("all training", 1, history.work)] if len(found) > 1 else found


def _phase(label: str, first: int, works: list[Work]) -> Phase:
    seconds = sum(work.seconds for work in works)
    tokens, padded = sum(work.tokens for work in works), sum(work.padded for work in works)
    return Phase(label, first, works[-1].step, seconds, tokens, padded)


def _label(history: History, ends: list[int], position: int) -> str:
    if not ends:
        return "training"
    if position == len(ends):
        return "to the end" if history.ended else "so far"
    return f"until {joined([switch.task for switch in history.switches if switch.step == ends[position]])} converged"


def activities(history: History) -> list[Activity]:
    """Where the time went; training that a rewind threw away is counted apart."""
    kept = sum(work.seconds for work in history.work if not work.discarded)
    lost = sum(work.seconds for work in history.work if work.discarded)
    found = [
        Activity("learning", "training", kept),
        Activity("discarded", "training that was rewound", lost, len(history.rewinds)),
        *(
            Activity(kind, label, history.seconds.get(kind, 0.0), history.occasions.get(kind))
            for kind, label in (
                ("evaluation", "evaluation"),
                ("recording", "recording soft labels"),
                ("checkpoints", "checkpoints"),
            )
        ),
    ]
    return [activity for activity in found if activity.seconds > 0]
