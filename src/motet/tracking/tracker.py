"""The thread between a run and a tool: it takes events at once, and hands them on when the tool is ready."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from motet.errors import RunError
from motet.runs import Event, RunFolder, read_events, surviving
from motet.tracking.points import points, settings
from motet.tracking.sink import Opening, Sink, Status

__all__ = ["Tracker", "TrackerFailed"]

ENDS: dict[str, Status] = {"end": "finished", "interrupted": "interrupted"}
# Seconds that the end of a run waits for a tool.
PATIENCE = 60.0


class TrackerFailed(Exception):  # noqa: N818  (what happened to it; the run goes on)
    """A tracker has stopped; the run has not."""


class Tracker:
    """Hands the events of a run on to a tool; a listener of `motet.runs.EventLog`.

    What the tool raises is raised once, as `TrackerFailed`, by the next call: the event log writes it as a warning and
    drops the tracker. When the run ends or is interrupted, it waits until the tool has kept everything.

    Args:
        sink: the tool.
        run: the run folder; what the tool needs to go on after a `motet resume` is kept in its `trackers` folder.
        patience: seconds to wait for the tool at the end.

    Example:
        >>> from motet.tracking.tensorboard import TensorBoard
        >>> tracker = Tracker(TensorBoard(), RunFolder("runs/first"))
        >>> motet.train(tasks, out="runs/first", listeners=[tracker])  # doctest: +SKIP
    """

    def __init__(self, sink: Sink, run: RunFolder, *, patience: float = PATIENCE) -> None:
        sink.require()
        self.sink, self.run, self.patience = sink, run, patience
        self._events: queue.SimpleQueue[Event | Status] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._over = False

    def __call__(self, event: Event) -> None:
        """Take one event.

        Raises:
            TrackerFailed: the tool has failed.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"motet-{self.sink.name}", daemon=True)
            self._thread.start()
        self._events.put(event)
        if self._failure is not None or event["event"] in ENDS:
            self.close(ENDS.get(event["event"], "failed"))

    def close(self, status: Status = "failed") -> None:
        """Wait until the tool has kept everything; only the first time counts.

        Raises:
            TrackerFailed: the tool has failed, or takes too long.
        """
        if self._over or self._thread is None:
            return
        self._over = True
        self._events.put(status)
        self._thread.join(self.patience)
        if self._thread.is_alive():
            raise TrackerFailed(f"`{self.sink.name}` was still busy after {self.patience:g} s, and is left behind.")
        if self._failure is not None:
            told = str(self._failure).strip().partition("\n")[0]
            message = f"`{self.sink.name}` stopped, the run goes on: {type(self._failure).__name__}: {told}"
            raise TrackerFailed(message) from self._failure

    def _work(self) -> None:
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001  a tracker must never stop a run
            self._failure = error

    def _follow(self) -> None:
        step, opened = 0, False
        while not isinstance(event := self._events.get(), str):
            if not opened:
                for old in self._open(event):
                    step = self._log(old, step)
                opened = True
            step = self._log(event, step)
        if opened:
            self.sink.close(event)

    def _open(self, first: Event) -> Iterator[Event]:
        """Begin; a tool that has not followed the run so far is told what it missed."""
        file = self._file()
        known = self.run.read_json(file) if file.exists() else {}
        before = self._before(first)
        plan = next((event for event in (first, *before) if event["event"] == "plan"), {"event": "plan"})
        kept = self.sink.open(Opening(self.run, settings(plan), int(first.get("step", 0)) if before else 0, known))
        if kept != known:
            self.run.write_json(file, kept)
        return iter(() if known else before)

    def _before(self, first: Event) -> list[Event]:
        """What a resumed run goes on from."""
        if first["event"] != "resumed":
            return []
        return surviving(list(islice(read_events(self.run.events_file), first["events"])))

    def _log(self, event: Event, step: int) -> int:
        """Keep the numbers of an event, under its step or else that of the one before; returns the step."""
        step = int(event.get("step") or step)
        if found := points(event):
            self.sink.log(found, step, event.get("time") or time.time())
        return step

    def _file(self) -> Path:
        return trackers_folder(self.run) / f"{self.sink.name}.json"


def trackers_folder(run: RunFolder) -> Path:
    """Where a run keeps what its trackers need to go on."""
    return run.path / "trackers"


def followed(run: RunFolder) -> list[str]:
    """The names of the trackers that have followed a run so far.

    Raises:
        RunError: that cannot be read.
    """
    try:
        return sorted(file.stem for file in trackers_folder(run).glob("*.json"))
    except OSError as error:
        raise RunError(f"{trackers_folder(run)} cannot be read: {error.strerror or error}.") from error
