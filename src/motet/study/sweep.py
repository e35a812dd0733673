"""All runs of a study, some at a time, until all are done; whatever happens, the same command goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from motet.errors import RecipeError, RunError
from motet.reporting.numerals import count, duration
from motet.runs import RunFolder, read_events
from motet.study.cluster import cluster
from motet.study.definition import Study, read_study
from motet.study.ledger import Ledger, StudyFolder, commit_of
from motet.study.planning import Entry, plan_study
from motet.study.processes import BusyError, Here, Log, Place, Work, gist, motet_command, scoring_command
from motet.study.queue import Queue
from motet.training.run import Interrupted

__all__ = ["sweep"]

_POLL, _TELL, _WAIT = 0.1, 30.0, 1.0  # seconds between looks, between lines, and before a busy run is tried again
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def sweep(
    path: str | Path,
    out: str | Path,
    *,
    jobs: int = 1,
    ray: str = "",
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, str]:
    """Train and test every run of a study that is not done yet.

    Every run is a process of its own and has a folder of its own, called after its variant, its seed and its resolved
    recipe. A finished run is not repeated, an interrupted one is resumed, and one that fails does not stop the others.

    Args:
        path: the study file.
        out: the folder of the study.
        jobs: runs at a time; they share the cores evenly.
        ray: the address of a Ray cluster whose nodes do the work, `auto` for the one of this machine, `local` for one
            that is started here. All nodes see the folder and the data under the same paths.
        tell: is given lines about how it goes.

    Returns:
        What became of every run, by name: `finished`, or what it said before it failed.

    Raises:
        UserError: everything that is wrong with the file or a recipe of it, before the first run.
        Interrupted: by Ctrl-C; the runs have saved their work.

    Example:
        >>> import motet
        >>> motet.sweep("study.yaml", "studies/first", jobs=2)  # doctest: +SKIP
    """
    study = read_study(path)
    units = plan_study(study)
    if jobs < 1:
        raise RecipeError(f"`jobs` must be at least 1, found {jobs}.")
    folder = StudyFolder(out)
    with folder.held():
        folder.recipe_file.write_text(study.path.read_text(encoding="utf-8-sig"), encoding="utf-8")
        with cluster(ray) if ray else contextlib.nullcontext(Here()) as place:
            return _Sweep(study, Queue(units, folder), folder, jobs, place, tell).run()


class _Sweep:
    """Processes for what is left to do, and a line in the ledger for whatever happens."""

    def __init__(
        self,
        study: Study,
        queue: Queue,
        folder: StudyFolder,
        jobs: int,
        place: Place,
        tell: Callable[[str], None],
    ) -> None:
        self._study, self._queue, self._folder, self._jobs, self._tell = study, queue, folder, jobs, tell
        self._place = place
        self._ledger = Ledger(folder, _about(study))
        self._commit = commit_of(study.path.resolve().parent)
        self._running: dict[Entry, Work] = {}
        self._entered: set[Entry] = set()
        self._busy: dict[Entry, float] = {}
        self._began: dict[Entry, float] = {}
        self._signals = 0

    def run(self) -> dict[str, str]:
        """Go on until nothing is left."""
        self._enter()
        done, total = self._queue.counted()
        self._tell(f"{total} runs, {done} of them done, {min(self._jobs, total)} at a time")
        with self._listening():
            told = time.monotonic()
            while self._running or (not self._signals and next(self._queue.wanted(), None)):
                self._pass_on_signals()
                self._collect()
                self._fill_up()
                if self._running and time.monotonic() - told > _TELL:
                    told = time.monotonic()
                    self._tell("running: " + ", ".join(map(self._progress, self._running)))
                time.sleep(_POLL)
        if self._signals:
            done, total = self._queue.counted()
            raise Interrupted(f"Stopped; {done} of {total} runs are done. The same command goes on from here.")
        return {entry.name: self._queue.failed.get(entry.name, "finished") for entry in self._queue.known()}

    def _enter(self) -> None:
        """Write down which runs there are, and which of them validation has chosen."""
        for entry in self._queue.known():
            line = {**entry.plain(), "chosen": self._queue.is_chosen(entry)}
            if entry not in self._entered:
                begun = self._folder.run(entry.name).exists()
                status = "finished" if self._queue.done(entry) else "interrupted" if begun else "waiting"
                line |= {"status": status, "error": ""}
            self._entered.add(entry)
            self._ledger.enter(line)
        self._ledger.write()

    def _fill_up(self) -> None:
        for entry in list(self._queue.wanted()):
            if len(self._running) >= self._jobs or self._signals:
                return
            if entry not in self._running and self._busy.get(entry, 0.0) <= time.monotonic():
                self._begin(entry)

    def _begin(self, entry: Entry) -> None:
        """Start what is left to do for a run, unless another process is at it."""
        try:
            log = Log(self._folder.log(entry.name))
        except BusyError:
            if entry not in self._busy:
                self._tell(f"{_called(entry)}: still at work since an earlier sweep; waiting for it")
            self._busy[entry] = time.monotonic() + _WAIT
            return
        run, stage = self._folder.run(entry.name), self._queue.look(entry)
        if self._queue.done(entry):
            log.close()
            self._finish(entry)
            return
        self._began.setdefault(entry, time.monotonic())
        command = scoring_command(run.path) if stage == "score" else self._training(entry, run)
        threads = {"OMP_NUM_THREADS": str(self._threads(run))}
        process = self._running[entry] = self._place.begin(command, log, threads, 1 / self._jobs)
        commit = self._ledger.lines[entry.name]["commit"] or self._commit
        self._ledger.note(entry.name, status="running", commit=commit, pid=process.pid)

    def _training(self, entry: Entry, run: RunFolder) -> list[str]:
        self._tell(f"{_called(entry)}: {'resumed' if run.exists() else 'started'}")
        if run.exists():
            return motet_command("resume", str(run.path), "--quiet")
        return motet_command("train", str(self._study.base), *entry.settings, "--out", str(run.path), "--quiet")

    def _threads(self, run: RunFolder) -> int:
        """An even share of the cores; a run that goes on keeps what it was begun with, so that no digit changes."""
        if run.manifest_file.exists():
            return int(run.read_json(run.manifest_file)["threads"])
        share = max(1, self._place.cores // self._jobs)
        limit = os.environ.get("OMP_NUM_THREADS", "")
        return min(share, int(limit)) if limit.isdigit() and int(limit) else share

    def _collect(self) -> None:
        """Look at the processes that have ended."""
        for entry, process in list(self._running.items()):
            if process.code is None:
                continue
            del self._running[entry]
            before = self._queue.stage(entry)
            if self._queue.look(entry) == before:
                self._stop(entry, process)
            elif self._queue.done(entry):
                self._finish(entry)

    def _finish(self, entry: Entry) -> None:
        self._enter()
        self._ledger.note(entry.name, status="finished", error="")
        done, total = self._queue.counted()
        spent = time.monotonic() - self._began.get(entry, time.monotonic())
        self._tell(f"[{done}/{total}] {_called(entry)}: done in {duration(spent)}")

    def _stop(self, entry: Entry, process: Work) -> None:
        """A run ended before its time: it was asked to, or failed."""
        if self._signals:
            begun = self._folder.run(entry.name).exists()
            self._ledger.note(entry.name, status="interrupted" if begun else "waiting")
            return
        complaint = process.complaint
        self._queue.failed[entry.name] = complaint
        self._enter()
        self._ledger.note(entry.name, status="failed", error=complaint)
        self._tell(f"{_called(entry)}: FAILED: {gist(complaint)} ({self._folder.log(entry.name)})")

    def _progress(self, entry: Entry) -> str:
        last = 0
        with contextlib.suppress(OSError, RunError):
            events = read_events(self._folder.run(entry.name).events_file)
            last = max((event["step"] for event in events if event["event"] == "step"), default=0)
        return f"{_called(entry)} at step {count(last)}"

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Count signals; the loop passes them on."""

        def hear(number: int, frame: Any) -> None:
            self._signals += 1

        try:
            before = {number: signal.signal(number, hear) for number in _SIGNALS}
        except ValueError:  # not in the main thread: whoever runs us handles signals
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on_signals(self) -> None:
        """The first one asks the runs to save their work and stop; the second one kills them."""
        for process in self._running.values():
            if self._signals > 1:
                process.kill()
            elif self._signals and process.interrupt():
                self._tell("Stopping: the runs save their work. Once more kills them.")


def _called(entry: Entry) -> str:
    return " ".join(filter(None, (entry.variant, entry.task, f"seed {entry.seed}", f"({entry.digest[:8]})")))


def _about(study: Study) -> dict[str, Any]:
    return {
        "name": study.path.stem,
        "base": str(study.base),
        "variants": {name: list(settings) for name, settings in study.variants.items()},
        "seeds": list(study.seeds),
        "budget": study.budget,
        "amount": study.amount,
        "baseline": study.baseline,
        "search": [list(settings) for settings in study.search if settings],
        "single_task": study.single_task,
        "alone": list(study.alone),
    }
