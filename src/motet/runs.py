"""The run folder: what was asked for, what happened, what came of it.

    run/
      recipe.yaml       resolved, every default spelled out      manifest.json   versions, device, data, seeds
      events.jsonl      append only: the truth about the run     state.json      where to go on; replaced atomically
      checkpoints/      tensors, one folder a kept step          soft_labels/    one Arrow file a converged task
      model/            what `motet.load` reads                  report.html

Every file but `events.jsonl` appears whole or not at all: written beside its place, forced to disk, renamed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from motet.errors import RunError

__all__ = ["Event", "EventLog", "RunFolder", "read_events", "surviving", "write_atomically"]

Event = dict[str, Any]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary neighbour of `path`, force it to disk, and rename it into place.

    `write` gets a path that does not exist and may make a file or a folder of it. A folder is moved only where no
    folder is.

    Raises:
        RunError: the disk is full, say; what was there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)  # of a killed process of the same number, as the first of every container has
        write(temporary)
        for entry in (temporary, *temporary.rglob("*")):
            _sync(entry)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder with all that is in it, or nothing if it is not there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritten(path: Path, error: OSError) -> RunError:
    return RunError(
        f"could not write {path}: {error.strerror or error}. What was saved before is intact: "
        f"make room, then `motet resume` the run."
    )


class EventLog:
    """Appends events to a file, one JSON object a line, flushed one by one.

    A line torn by a kill is cut off when the file is opened again.

    Args:
        path: the file; made when missing.
        listeners: called with every event after it was written; one that raises is dropped with a warning event.
    """

    def __init__(self, path: Path, listeners: tuple[Callable[[Event], None], ...] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.count = _cut_torn_line(path)
        self._path = path
        self._file = path.open("a", encoding="utf-8")
        self._listeners = list(listeners)

    def write(self, event: str, **values: Any) -> None:
        """Append one event; `event` is its name, `values` must be plain data.

        Raises:
            RunError: the disk is full, say.
        """
        record: Event = {"event": event, "time": round(time.time(), 3), **values}
        line = json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise _unwritten(self._path, error) from error
        self.count += 1
        for failure in self._tell(record):
            self.write("warning", code="listener-failed", message=f"{type(failure).__name__}: {failure}")

    def _tell(self, record: Event) -> list[Exception]:
        """Tell the listeners, drop those that raise, and return what they raised."""
        failures: list[Exception] = []
        for listener in tuple(self._listeners):
            try:
                listener(record)
            except Exception as error:  # noqa: BLE001  a renderer must never stop a run
                self._listeners.remove(listener)
                failures.append(error)
        return failures

    def close(self) -> None:
        """Force the file to disk and close it."""
        with contextlib.suppress(ValueError):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()


def _finite(value: Any) -> Any:
    """The same plain data with null where a number is not finite: JSON knows no other way to say that."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut_torn_line(path: Path) -> int:
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return content.count(b"\n", 0, whole)


def read_events(path: Path) -> Iterator[Event]:
    """All whole events of a file, in order, those of a run still being written included.

    Raises:
        RunError: a line is not an event.
    """
    with path.open("rb") as file:  # bytes: a line still being written may end within a character
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield _event(line, f"{path}, line {number},")


def _event(line: bytes, place: str) -> Event:
    try:
        event: Event = json.loads(line)
    except ValueError as error:
        raise RunError(f"{place} cannot be read ({error}).") from error
    return event


def surviving(events: list[Event]) -> list[Event]:
    """The events that count: a `resumed` event undoes those that its checkpoint had not seen.

    Example:
        >>> surviving([{"event": "a"}, {"event": "b"}, {"event": "resumed", "events": 1}, {"event": "c"}])
        [{'event': 'a'}, {'event': 'resumed', 'events': 1}, {'event': 'c'}]
    """
    kept: list[tuple[int, Event]] = []
    for position, event in enumerate(events):
        if event["event"] == "resumed":
            kept = [(at, old) for at, old in kept if at < event["events"]]
        kept.append((position, event))
    return [event for _, event in kept]


class RunFolder:
    """Names and reads the files of one run.

    Example:
        >>> RunFolder("runs/first").events_file.name
        'events.jsonl'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe_file = self.path / "recipe.yaml"
        self.manifest_file = self.path / "manifest.json"
        self.events_file = self.path / "events.jsonl"
        self.state_file = self.path / "state.json"
        self.checkpoints = self.path / "checkpoints"
        self.soft_labels = self.path / "soft_labels"
        self.model = self.path / "model"
        self.report_file = self.path / "report.html"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.manifest_file.exists() or self.events_file.exists()

    def require(self) -> RunFolder:
        """This folder, if it holds a run.

        Raises:
            RunError: it does not.
        """
        if not self.exists():
            raise RunError(f"{self.path} is not a run folder: it has no {self.manifest_file.name}.")
        return self

    def events(self) -> list[Event]:
        """The surviving events, oldest first."""
        return surviving(list(read_events(self.events_file))) if self.events_file.exists() else []

    def write_json(self, path: Path, value: Any) -> None:
        """Write plain data as JSON, atomically."""
        text = json.dumps(value, indent=1, ensure_ascii=False)
        write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))

    def read_json(self, path: Path) -> Any:
        """Read a JSON file of the run.

        Raises:
            RunError: missing or not readable.
        """
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{path} is missing: the run was not begun, or its folder is incomplete.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path} cannot be read ({error}).") from error
