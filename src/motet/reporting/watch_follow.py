"""Following runs that other processes may be writing: which there are, and what their events say by now."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from motet.runs import Event, RunFolder, surviving

__all__ = ["Follower", "Watched", "found_runs"]

# Folders below a watched one in which runs are looked for: studies/first/runs/none-0 is three below studies.
DEPTH = 3
# Most runs that are followed at a time; those that were written last come first.
MOST = 200


class Follower:
    """Reads the events of one run as they are appended, without ever reading a line twice.

    A line that has no end yet is left for the next time. A file that was begun again is read from its beginning. Lines
    that cannot be read are left out and told in `problem`. Several threads may ask for news at once.

    Args:
        run: the run; nothing of it needs to exist.

    Example:
        >>> Follower(RunFolder("runs/not-yet")).news()
        []
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.problem, self._damage = "", ""
        self._events: list[Event] = []
        self._offset, self._lines, self._file = 0, 0, 0
        self._lock = threading.Lock()

    def news(self) -> list[Event]:
        """All surviving events so far, oldest first."""
        with self._lock:
            try:
                self._read()
                self.problem = self._damage
            except FileNotFoundError:
                self._restart(0)
            except OSError as error:
                self.problem = f"{self.run.events_file} cannot be read: {error.strerror or error}."
            return surviving(self._events)

    def _read(self) -> None:
        with self.run.events_file.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._file or found.st_size < self._offset:
                self._restart(found.st_ino)
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._take(line)
                self._offset += len(line)

    def _restart(self, file: int) -> None:
        self._events, self._offset, self._lines, self._file = [], 0, 0, file
        self.problem, self._damage = "", ""

    def _take(self, line: bytes) -> None:
        self._lines += 1
        try:
            event = json.loads(line)
        except ValueError as error:
            event, self._damage = None, f"Line {self._lines} of {self.run.events_file} cannot be read: {error}."
        # Where no event is, something else still counts as one: a resumed run says how many there had been.
        self._events.append(event if _is_event(event) else {"event": "unreadable"})


def _is_event(value: object) -> bool:
    """Whether a value is one that the readers of events can be given."""
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        return False
    return value["event"] != "resumed" or isinstance(value.get("events"), int)


class Watched:
    """The runs below some paths, under names of their own.

    A path is a run folder, a folder of runs or of studies, or does not exist yet. Runs that begin later are found too.

    Example:
        >>> [(name, follower.news()) for name, follower in Watched([Path("runs/not-yet")]).runs().items()]
        [('not-yet', [])]
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [Path(path) for path in paths]
        self.left_out = 0
        self._followers: dict[Path, Follower] = {}
        self._lock = threading.Lock()

    @property
    def single(self) -> bool:
        """Whether there is one path, and it is no folder of runs."""
        return len(self.paths) == 1 and not _holds_runs(self.paths[0])

    def runs(self) -> dict[str, Follower]:
        """What is followed now, by name."""
        with self._lock:
            found = [(path, run) for path in self.paths for run in (found_runs(path) if _holds_runs(path) else [path])]
            found = list({run.absolute(): (path, run) for path, run in found}.values())
            self.left_out = max(0, len(found) - MOST)
            shown = sorted(found, key=lambda pair: _touched(pair[1]))[self.left_out :] if self.left_out else found
            return {
                name: self._followers.setdefault(run, Follower(RunFolder(run))) for name, run in _named(shown).items()
            }


def found_runs(folder: Path) -> Iterator[Path]:
    """The run folders below a folder; nothing is looked for inside a run, or behind a link."""
    for place, inner, _ in os.walk(folder):
        here = Path(place)
        if here != folder and RunFolder(here).exists():
            yield here
            inner.clear()
        elif len(here.relative_to(folder).parts) >= DEPTH:
            inner.clear()
        inner[:] = sorted(name for name in inner if not name.startswith("."))


def _holds_runs(path: Path) -> bool:
    return path.is_dir() and not RunFolder(path).exists() and any(path.iterdir())


def _touched(run: Path) -> float:
    """When the events of a run were last written; long ago where there are none."""
    try:
        return RunFolder(run).events_file.stat().st_mtime
    except OSError:
        return 0.0


def _named(pairs: Sequence[tuple[Path, Path]]) -> dict[str, Path]:
    """The runs by the shortest names that tell them apart: below their folder, with it, or in full."""
    names: dict[str, Path] = {}
    for path, run in pairs:
        below = run.relative_to(path).as_posix() if run != path else run.absolute().name
        full = run.absolute().as_posix()
        choices = [below, f"{path.absolute().name}/{below}", full]
        names[next((name for name in choices if name not in names), full)] = run
    return names
