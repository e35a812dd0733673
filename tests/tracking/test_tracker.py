"""The thread between a run and a tool: nothing is lost, nothing waits, and whatever fails becomes one warning."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.tracking.conftest import FIRST, SECOND, step

from motet.errors import RecipeError, RunError
from motet.runs import Event, RunFolder
from motet.tracking import opening
from motet.tracking.opening import TRACKERS, tracked
from motet.tracking.sink import Opening, Sink, Status
from motet.tracking.tracker import Tracker, TrackerFailed, followed

Follow = Callable[..., list[Event]]


class Memory(Sink):
    """A tool that remembers, and fails or waits where it is told to."""

    name = "memory"
    package = "json"
    fails: ClassVar[str] = ""

    def __init__(self, fails: str = "", gate: threading.Event | None = None) -> None:
        super().__init__()
        self.fails_at, self.gate = fails or self.fails, gate
        self.said: list[Any] = []

    def note(self, what: str, *values: Any) -> None:
        if self.gate is not None:
            self.gate.wait(20)
        if what == self.fails_at:
            raise ConnectionError(f"{what} failed\nand more")
        self.said.append((what, *values))

    def open(self, opening: Opening) -> dict[str, str]:
        self.note("open", opening.name, dict(opening.settings), opening.step, dict(opening.known))
        return {"run": "7"}

    def log(self, points: Mapping[str, float], step: int, moment: float) -> None:
        self.note("log", step, dict(points))

    def close(self, status: Status) -> None:
        self.note("close", status)


class Well(Memory):
    name = "well"


class Missing(Memory):
    name = "missing"
    package = "a_package_that_is_not_there"


def steps(sink: Memory) -> list[int]:
    return [said[1] for said in sink.said if said[0] == "log"]


def warnings(events: list[Event]) -> list[str]:
    return [event["message"] for event in events if event["event"] == "warning"]


def test_everything_arrives_in_order(run: RunFolder, follow: Follow) -> None:
    sink = Memory()
    assert not warnings(follow(FIRST, Tracker(sink, run)))
    settings = {"steps": 40, "balance.type": "sum", "tasks.a b.metric": "accuracy"}
    assert sink.said[0] == ("open", "first run", settings, 0, {})
    assert sink.said[1] == ("log", 10, {"a b/train/loss": 1.0})
    assert steps(sink) == [10, 20, 20, 30]
    assert sink.said[-1] == ("close", "interrupted")
    assert json.loads((run.path / "trackers" / "memory.json").read_text()) == {"run": "7"}


def test_a_resumed_run_goes_on_with_what_was_begun(run: RunFolder, follow: Follow) -> None:
    follow(FIRST, Tracker(Memory(), run))
    sink = Memory()
    follow(SECOND, Tracker(sink, run))
    assert sink.said[0][2:] == ({"steps": 40, "balance.type": "sum", "tasks.a b.metric": "accuracy"}, 20, {"run": "7"})
    assert steps(sink) == [30, 40, 40]
    assert sink.said[-1] == ("close", "finished")


def test_a_tracker_that_joins_late_is_told_what_it_missed(run: RunFolder, follow: Follow) -> None:
    follow(FIRST)
    sink = Memory()
    follow(SECOND, Tracker(sink, run))
    assert steps(sink) == [10, 20, 20, 30, 40, 40], "what the checkpoint had not seen is not told twice"


@pytest.mark.parametrize("where", ["open", "log", "close"])
def test_a_failure_is_one_warning_and_the_run_goes_on(run: RunFolder, follow: Follow, where: str) -> None:
    well = Well()
    events = follow(FIRST, Tracker(Memory(where), run), Tracker(well, run))
    (message,) = warnings(events)
    assert message == f"TrackerFailed: `memory` stopped, the run goes on: ConnectionError: {where} failed"
    assert [event["event"] for event in events if event["event"] != "warning"] == [event["event"] for event in FIRST]
    assert well.said[-1] == ("close", "interrupted"), "another tracker goes on"


def test_a_slow_tool_delays_no_step(run: RunFolder, follow: Follow) -> None:
    gate = threading.Event()
    sink = Memory(gate=gate)
    tracker = Tracker(sink, run)
    begin = time.monotonic()
    follow(FIRST[:-1], tracker)
    assert time.monotonic() - begin < 2
    assert not sink.said
    gate.set()
    tracker.close("finished")
    assert steps(sink) == [10, 20, 20, 30]


def test_a_tool_that_hangs_is_left_behind(run: RunFolder, follow: Follow) -> None:
    gate = threading.Event()
    (message,) = warnings(follow(FIRST, Tracker(Memory(gate=gate), run, patience=0.05)))
    gate.set()
    assert "`memory` was still busy after 0.05 s, and is left behind." in message


def test_a_run_that_fails_closes_its_trackers(
    run: RunFolder, follow: Follow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Memory] = []

    def make() -> Memory:
        made.append(Memory())
        return made[-1]

    make.require = Memory.require  # type: ignore[attr-defined]
    monkeypatch.setitem(TRACKERS, "memory", make)
    with pytest.raises(ZeroDivisionError), tracked(["memory", "memory"], run.path, print) as trackers:
        follow([FIRST[0], step(10, 1.0)], *trackers)
        raise ZeroDivisionError
    assert len(made) == 1
    assert made[0].said[-1] == ("close", "failed")


def test_a_failure_after_the_log_is_closed_is_told_once(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "fails", "close")
    monkeypatch.setitem(TRACKERS, "memory", Memory)
    told: list[str] = []
    with tracked(["memory"], run.path, told.append) as (tracker,):
        tracker(FIRST[0])
    assert told == ["`memory` stopped, the run goes on: ConnectionError: close failed"]
    tracker.close()


def test_names_and_packages_are_looked_at_before_anything_starts(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(RecipeError, match=r"track = tensorbord\n    is not known. Did you mean `tensorboard`\?"),
        tracked(["tensorbord"], run.path, print),
    ):
        pass
    monkeypatch.setitem(TRACKERS, "missing", Missing)
    with (
        pytest.raises(RunError, match=r"needs the package a_package_that_is_not_there.*'motet\[missing\]'"),
        tracked(["missing"], run.path, print),
    ):
        pass
    assert not run.path.exists()


def test_trackers_of_before_go_on_and_a_missing_one_is_no_obstacle(
    run: RunFolder, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRACKERS, "memory", Memory)
    follow(FIRST, Tracker(Memory(), run))
    (run.path / "trackers" / "unheard-of.json").write_text("{}")
    with tracked([], run.path, print) as (tracker,):
        assert tracker.sink.name == "memory"
    assert followed(run) == ["memory", "unheard-of"]
    monkeypatch.setattr(Memory, "package", "a_package_that_is_not_there")
    told: list[str] = []
    with tracked([], run.path, told.append) as trackers:
        assert trackers == []
    assert told[0].endswith("The run goes on without it.")


def test_nothing_is_begun_before_the_first_event(run: RunFolder) -> None:
    tracker = Tracker(Memory(), run)
    tracker.close()
    assert threading.active_count() < 50
    assert not run.path.exists()


def test_what_was_raised_is_the_cause(run: RunFolder) -> None:
    tracker = Tracker(Memory("open"), run)
    with pytest.raises(TrackerFailed) as failed:
        tracker({"event": "end", "step": 1})
    assert isinstance(failed.value.__cause__, ConnectionError)


def test_all_trackers_are_there() -> None:
    assert sorted(opening.TRACKERS) == ["mlflow", "tensorboard", "trackio", "wandb"]
    assert all(name == sink.name for name, sink in TRACKERS.items())
