"""One stage of a run as a process of its own, whose output goes to a file.

The file is locked as long as the process lives, whatever becomes of the one that started it. So a run that outlives a
sweep is found by the next one, which waits for it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from motet.errors import RunError

__all__ = ["BusyError", "Here", "Log", "Place", "Process", "Work", "gist", "motet_command", "scoring_command"]

_SAID = 4000  # bytes at the end of an output that are looked at


class BusyError(RunError):
    """A process of an earlier sweep is still at work on the run."""


def motet_command(*arguments: str) -> list[str]:
    """The command line in a fresh interpreter, whether or not the script `motet` is on the path."""
    return [sys.executable, "-c", "from motet.cli.app import main; main()", *arguments]


def scoring_command(run: Path) -> list[str]:
    """What scores a finished run on test."""
    return [sys.executable, "-m", "motet.study.scoring", str(run)]


def gist(complaint: str) -> str:
    r"""What went wrong, from all that a run said at last: the problem of a user's mistake, the end of a traceback.

    Example:
        >>> gist("recipe.yaml has 1 problem\n\nline 3  tasks.a.label = x\n    is no column\n\nNothing was started.")
        'line 3  tasks.a.label = x is no column'
    """
    lines = [line for line in complaint.partition("\nNothing was started.")[0].splitlines() if line.strip()]
    start = len(lines) - 1
    while start > 0 and lines[start].startswith(" "):
        start -= 1
    return " ".join(line.strip() for line in lines[max(start, 0) :])


class Log:
    """The file with the output of a run, open and locked.

    Raises:
        BusyError: another process has it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file: IO[bytes] = path.open("ab")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.file.close()
            raise BusyError(f"a process of an earlier sweep still writes {path}.") from error
        self.begin = self.file.tell()

    def close(self) -> None:
        """Let go of it; a process that was given it keeps it locked."""
        self.file.close()

    def said(self) -> str:
        """The last lines that were written since it was opened."""
        with self.path.open("rb") as file:
            file.seek(max(self.begin, self.path.stat().st_size - _SAID))
            return file.read().decode("utf-8", errors="replace").strip()


class Process:
    """A command at work.

    It has a session of its own: a Ctrl-C in the terminal reaches the sweep alone, which passes it on once.

    Args:
        command: what is run.
        log: takes its output, and is closed here.
        environment: beside that of this process.
    """

    def __init__(self, command: Sequence[str], log: Log, environment: Mapping[str, str]) -> None:
        self._log = log
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log.file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self._asked = False
        log.close()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it is at work."""
        return self._process.poll()

    @property
    def complaint(self) -> str:
        """What it said at last."""
        return self._log.said() or f"ended with code {self.code} and without a word"

    def wait(self) -> int:
        """How it ended, when it has."""
        return self._process.wait()

    def interrupt(self) -> bool:
        """Ask it once to save its work and stop; whether this was the time."""
        first, self._asked = not self._asked, True
        if first and self.code is None:
            self._process.send_signal(signal.SIGINT)
        return first

    def kill(self) -> None:
        """Stop it at once; what it saved before is intact."""
        if self.code is None:
            self._process.kill()


class Work(Protocol):
    """A command at work, here or elsewhere: what `Process` says of it."""

    @property
    def pid(self) -> int | None: ...

    @property
    def code(self) -> int | None: ...

    @property
    def complaint(self) -> str: ...

    def interrupt(self) -> bool: ...

    def kill(self) -> None: ...


class Place(Protocol):
    """Where commands are at work."""

    cores: int

    def begin(self, command: Sequence[str], log: Log, environment: Mapping[str, str], share: float) -> Work: ...


class Here:
    """This machine.

    Attributes:
        cores: that this process may use.
    """

    def __init__(self) -> None:
        allowed = getattr(os, "sched_getaffinity", None)
        self.cores = len(allowed(0)) if allowed else os.cpu_count() or 1

    def begin(self, command: Sequence[str], log: Log, environment: Mapping[str, str], share: float) -> Work:
        """Start a command; all commands share what the machine has."""
        return Process(command, log, environment)
