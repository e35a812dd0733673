"""Kills runs at random moments, resumes them, and compares their models with that of a run left alone, bit for bit.

    python benchmarks/kill.py
    python benchmarks/kill.py --kills 100 --seed 1

Everything is made on the spot: a tiny random encoder with dropout, generated sentences, and a recipe in which tasks
converge, rewind, are distilled and reopened within seconds. A kill is SIGKILL, at a moment drawn evenly from the time
that the undisturbed run takes from its plan to its end. Start-up is left out: there is nothing to lose yet.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toy_run import write_recipe

from motet.runs import Event, RunFolder, read_events

_MOTET = [sys.executable, "-c", "from motet.cli.app import main; main()"]
_LONGEST = 120.0  # seconds in which a run of seconds must end


@dataclass(frozen=True)
class Kill:
    """What one kill met and what came of it.

    Args:
        moment: seconds after the plan.
        last: the last event written.
        step: optimiser steps done by then, as far as the events tell.
        writing: files that were being written.
        went_on: where it was resumed: at a checkpoint, at the beginning, or not at all.
        fault: how the model differs from that of the undisturbed run; empty if it does not.
    """

    moment: float
    last: str
    step: int
    writing: str
    went_on: str
    fault: str

    def __str__(self) -> str:
        found = f"DIFFERENT: {self.fault}" if self.fault else "equal"
        during = f" writing {self.writing}" if self.writing else ""
        return f"{self.moment:7.2f} s  step {self.step:>4}  after {self.last}{during}; {self.went_on}: {found}"


class Runs:
    """Starts, kills and resumes runs of one recipe.

    Args:
        workplace: an empty folder.
        steps: optimiser steps of a run.
    """

    def __init__(self, workplace: Path, steps: int) -> None:
        self.workplace = workplace
        self.recipe = write_recipe(workplace, steps)
        caches = {"MOTET_CACHE": str(workplace / "motet"), "HF_DATASETS_CACHE": str(workplace / "datasets")}
        self._environment = {**os.environ, **caches, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def undisturbed(self) -> tuple[RunFolder, float]:
        """A run left alone, and its seconds from the plan to the end."""
        run = RunFolder(self.workplace / "reference")
        self._finish("train", str(self.recipe), "--out", str(run.path))
        times = {event["event"]: event["time"] for event in run.events()}
        return run, times["end"] - times["plan"]

    def killed(self, name: str, moment: float, reference: RunFolder) -> Kill:
        """A run killed so many seconds after its plan, then resumed and compared."""
        run = RunFolder(self.workplace / name)
        process = self._motet("train", str(self.recipe), "--out", str(run.path))
        try:
            _wait_for_plan(run, process)
            time.sleep(moment)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        events = list(read_events(run.events_file))
        writing = sorted({_place(path, run.path) for path in run.path.rglob("*.partial")})
        went_on = self._go_on(run, events)
        step = max((event["step"] for event in events if event["event"] in ("step", "check")), default=0)
        return Kill(moment, events[-1]["event"], step, ", ".join(writing), went_on, difference(reference, run))

    def _go_on(self, run: RunFolder, events: Sequence[Event]) -> str:
        if any(event["event"] == "end" for event in events):
            return "it had ended"
        begun = run.state_file.exists()
        self._finish("resume", str(run.path))
        return "resumed" if begun else "resumed from the beginning, before the first checkpoint"

    def _finish(self, *arguments: str) -> None:
        process = self._motet(*arguments)
        _, complaint = process.communicate(timeout=_LONGEST)
        if process.returncode:
            raise SystemExit(f"motet {' '.join(arguments)} failed:\n{complaint}")

    def _motet(self, *arguments: str) -> subprocess.Popen[str]:
        command = [*_MOTET, *arguments, "--quiet"]
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )


def _wait_for_plan(run: RunFolder, process: subprocess.Popen[str]) -> None:
    patience = time.monotonic() + _LONGEST
    while not (run.events_file.exists() and any(read_events(run.events_file))):
        if process.poll() is not None or time.monotonic() > patience:
            raise SystemExit(f"the run did not begin:\n{process.stderr.read() if process.stderr else ''}")
        time.sleep(0.005)


def _place(path: Path, run: Path) -> str:
    """The file or folder whose temporary neighbour this is, such as `checkpoints/00000024-0`."""
    name = path.name.removeprefix(".").removesuffix(".partial").rpartition(".")[0]
    return str(path.with_name(name).relative_to(run))


def difference(reference: RunFolder, run: RunFolder) -> str:
    """The weights of two models that are not the same bytes; empty if all are."""
    wanted = {path.name: _digest(path) for path in sorted(reference.model.glob("*.safetensors"))}
    found = {path.name: _digest(path) for path in sorted(run.model.glob("*.safetensors"))}
    return ", ".join(name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _told(run: RunFolder) -> str:
    """How much happened in a run, so that one can see that kills had something to hit."""
    kinds = [event["event"] for event in run.events()]
    counted = ("check", "checkpoint", "converged", "soft_labels", "reopened")
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in counted)


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill, resume, compare; exits with 1 if any model differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--steps", type=int, default=240, help="optimiser steps of a run")
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="motet-kill-") as folder:
        runs = Runs(Path(folder), options.steps)
        reference, seconds = runs.undisturbed()
        print(f"undisturbed: {seconds:.2f} s from plan to end, {_told(reference)}", flush=True)
        kills = []
        for number in range(options.kills):
            kills.append(runs.killed(f"killed-{number}", draw.uniform(0, seconds), reference))
            print(f"{number + 1:>3}  {kills[-1]}", flush=True)
    equal = sum(not kill.fault for kill in kills)
    print(f"{equal} of {len(kills)} equal")
    raise SystemExit(equal != len(kills))


if __name__ == "__main__":
    main()
