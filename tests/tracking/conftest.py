"""A run that is written with trackers listening, in two pieces if wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from motet.runs import Event, EventLog, RunFolder
from motet.tracking.opening import TRACKERS
from motet.tracking.tracker import Tracker

PLAN = {"steps": 40, "settings": {"balance": {"type": "sum"}}, "tasks": [{"name": "a b", "metric": "accuracy"}]}


def step(number: int, loss: float) -> Event:
    return {"event": "step", "step": number, "losses": {"a b": loss}}


def check(number: int, value: float) -> Event:
    return {"event": "check", "step": number, "scores": {"a b": {"accuracy": {"value": value, "se": 0.01}}}}


FIRST: tuple[Event, ...] = (
    {"event": "plan", **PLAN}, step(10, 1.0), check(20, 0.5), step(20, 0.9), step(30, 0.8),
    {"event": "interrupted", "step": 30},
)  # fmt: skip
# The checkpoint had seen four events, so the step 30 is done again.
SECOND: tuple[Event, ...] = (
    {"event": "resumed", "events": 4, "step": 20}, step(30, 0.8), step(40, 0.7), check(40, 0.6),
    {"event": "end", "step": 40},
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "first run")


@pytest.fixture
def follow(run: RunFolder) -> Callable[..., Any]:
    """Writes events with trackers, by name, or listeners; returns what the log holds afterwards."""

    def write(events: Sequence[Event], *listeners: Any) -> list[Event]:
        made = [Tracker(TRACKERS[one](), run) if isinstance(one, str) else one for one in listeners]
        log = EventLog(run.events_file, tuple(made))
        for event in events:
            log.write(**event)
        log.close()
        return run.events()

    return write
