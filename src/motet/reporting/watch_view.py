"""What the watch page says of a run by now: the typed view of its events, where it stands, and whether it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property

from motet.reporting import notices, outcome
from motet.reporting.history import read
from motet.reporting.numerals import count, duration, plural
from motet.reporting.plain import number
from motet.reporting.record import History
from motet.reporting.standing import Standing
from motet.reporting.watch_follow import Follower
from motet.reporting.watch_series import Dynamics, dynamics
from motet.runs import Event

__all__ = ["Happening", "State", "View", "state_of", "view_of"]

# Silence longer than this, and than this many times the longest silence of late, is worth saying.
QUIET_SECONDS, QUIET_TIMES, LATE = 120.0, 4.0, 40
HAPPENINGS = 30
ENDINGS = {
    "all converged": "every task has converged",
    "steps": "all steps are done",
    "stopped": "a task that converged stopped the run",
}


@dataclass(frozen=True)
class State:
    """Whether a run goes on; `kind` is waiting, running, quiet, interrupted or ended."""

    kind: str
    words: str
    detail: str = ""


@dataclass(frozen=True)
class Happening:
    """Something that happened to a run, in words, and when."""

    moment: str
    words: str


@dataclass(frozen=True)
class View:
    """One run on the page.

    Args:
        name: how it is called.
        folder: where it lies.
        events: the surviving ones.
        state: whether it goes on.
        problem: what of its events cannot be read.
    """

    name: str
    folder: str
    events: list[Event]
    state: State
    problem: str

    @cached_property
    def history(self) -> History:
        """What happened."""
        return read(self.events)

    @cached_property
    def standing(self) -> Standing:
        """Where every task stands, and the pace."""
        standing = Standing()
        for event in self.events:
            standing.take(event)
        return standing

    @cached_property
    def dynamics(self) -> Dynamics:
        """Weights, shares, speed and angles."""
        return dynamics(self.events)

    @property
    def headline(self) -> str:
        """The run in one sentence."""
        return outcome.headline(self.history) if self.events else self.state.words

    @property
    def going(self) -> bool:
        """Whether more is to be expected."""
        return self.state.kind in ("running", "quiet")

    @property
    def progress(self) -> float | None:
        """The share of the planned steps that is done."""
        return min(1.0, self.history.step / self.history.steps) if self.history.steps else None

    @cached_property
    def happenings(self) -> list[Happening]:
        """What happened to tasks and to the run, the latest first."""
        return list(_happenings(self.events))[: -HAPPENINGS - 1 : -1]


def view_of(name: str, follower: Follower) -> View:
    """What there is of a run by now."""
    events = follower.news()
    return View(name, str(follower.run.path), events, state_of(events, follower.run.exists()), follower.problem)


def state_of(events: list[Event], begun: bool, now: float | None = None) -> State:
    """Whether a run goes on.

    Args:
        events: the surviving ones.
        begun: whether there is a run folder.
        now: the time, in seconds since 1970.

    Example:
        >>> state_of([], begun=False).words
        'not begun yet'
    """
    if not events:
        wait = "the folder holds a run, and nothing has been written yet" if begun else "the page waits for its folder"
        return State("waiting", "being prepared" if begun else "not begun yet", wait)
    ended = _ended(events)
    if ended is not None:
        return ended
    silence = (time.time() if now is None else now) - (_moments(events[-1:]) or [0.0])[0]
    if silence > max(QUIET_SECONDS, QUIET_TIMES * _longest_gap(events)):
        words = f"nothing has been written for {_roughly(silence)}"
        return State("quiet", words, "it may be busy with something long, or have been killed")
    return State("running", "running")


def _ended(events: list[Event]) -> State | None:
    """How a run ended, if it did and was not resumed since; an evaluation may follow its end."""
    for event in reversed(events):
        name = event.get("event")
        if name == "end":
            reason = str(event.get("reason") or "")
            return State("ended", f"ended at step {count(event.get('step'))}", ENDINGS.get(reason, reason))
        if name == "interrupted":
            words = f"interrupted at step {count(event.get('step'))}"
            return State("interrupted", words, "`motet resume` goes on from there")
        if name in ("resumed", "step", "check"):
            return None
    return None


def _moments(events: Iterable[Event]) -> list[float]:
    return [moment for event in events if (moment := number(event.get("time"))) is not None]


def _longest_gap(events: list[Event]) -> float:
    """The longest silence between late events; a silence before a run was resumed is none of its own."""
    gaps = [0.0]
    for one, other in zip(events[-LATE - 1 : -1], events[-LATE:], strict=False):
        moments = _moments([one, other])
        if len(moments) == 2 and other.get("event") != "resumed":
            gaps.append(moments[1] - moments[0])
    return max(gaps)


def _roughly(seconds: float) -> str:
    """A silence in whole minutes, hours or days, so that the page only changes as often."""
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return duration(minutes * 60) if minutes < 48 * 60 else plural(minutes // (24 * 60), "day")


def _happenings(events: Iterable[Event]) -> Iterator[Happening]:
    for event in events:
        line = notices.notice(event)
        if line is not None:
            moment = number(event.get("time"))
            when = "" if moment is None else f"{datetime.fromtimestamp(moment, timezone.utc):%d %b, %H:%M:%S} UTC"
            yield Happening(when, line.plain)
