"""The folder of a study, and the file in it that says what was started and what became of it.

studies/first/
  study.json    every run that was ever started here     study.yaml    the study file as it was
  runs/         one folder a run                         logs/         what each run said
  study.html    results.parquet    results.csv           made by `motet compare`
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from motet.errors import RunError
from motet.runs import RunFolder, write_atomically
from motet.study.records import record_file

__all__ = ["Ledger", "Line", "Stage", "StudyFolder", "commit_of", "digest", "read_ledger", "stage_of"]

Line = dict[str, Any]
Stage = Literal["train", "score", "done"]


class StudyFolder:
    """Names the files of a study.

    Example:
        >>> StudyFolder("studies/first").run("sum-seed0-1a2b3c4d").path.as_posix()
        'studies/first/runs/sum-seed0-1a2b3c4d'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.ledger_file = self.path / "study.json"
        self.recipe_file = self.path / "study.yaml"

    def exists(self) -> bool:
        """Whether a study was begun here."""
        return self.ledger_file.exists()

    def run(self, name: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / "runs" / name)

    def log(self, name: str) -> Path:
        """What a run said."""
        return self.path / "logs" / f"{name}.log"

    @property
    def working(self) -> bool:
        """Whether a sweep is at work in it now."""
        try:
            with self.held():
                return False
        except RunError:
            return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from working in the folder at the same time.

        Raises:
            RunError: another process does so now.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"Another `motet sweep` is working in {self.path}. Wait for it, or stop it.") from error
            yield


def digest(experiment: Mapping[str, Any]) -> str:
    """What tells resolved recipes apart.

    Example:
        >>> digest({"training": {"steps": 3}}) == digest({"training": {"steps": 3}})
        True
    """
    return hashlib.sha256(json.dumps(experiment, sort_keys=True).encode()).hexdigest()[:12]


def stage_of(run: RunFolder) -> Stage:
    """What is left to do for a run, told by its folder alone."""
    events = run.events() if run.exists() else []
    if not run.model.is_dir() or not any(event["event"] == "end" for event in events):
        return "train"
    tested = any(event["event"] == "evaluation" and event["split"] == "test" for event in events)
    return "done" if tested and record_file(run).exists() else "score"


class Ledger:
    """What was started and what became of it; the file is replaced whole at every change.

    Args:
        folder: of the study.
        study: what the file is about, as plain data.
    """

    def __init__(self, folder: StudyFolder, study: Mapping[str, Any]) -> None:
        self._folder = folder
        self._study = dict(study)
        known = read_ledger(folder)["runs"] if folder.exists() else []
        self.lines: dict[str, Line] = {line["name"]: {**line, "planned": False} for line in known}

    def enter(self, line: Line) -> None:
        """Enter a run of the study; what is known of it already stays where the line says nothing else."""
        known = self.lines.get(line["name"], {"status": "waiting", "error": "", "commit": ""})
        self.lines[line["name"]] = {**known, **line, "planned": True}

    def note(self, name: str, **values: Any) -> None:
        """Change what is known of a run, and write it down."""
        self.lines[name].update(values)
        self.write()

    def write(self) -> None:
        """Replace the file."""
        text = json.dumps({"study": self._study, "runs": [*self.lines.values()]}, indent=1, ensure_ascii=False)
        write_atomically(self._folder.ledger_file, lambda file: file.write_text(text, encoding="utf-8"))


def read_ledger(folder: StudyFolder) -> dict[str, Any]:
    """What the file says: `study`, and a line for every run under `runs`.

    Raises:
        RunError: it is not there or cannot be read.
    """
    found = RunFolder(folder.path).read_json(folder.ledger_file)
    if not isinstance(found, dict) or "runs" not in found:
        raise RunError(f"{folder.ledger_file} is no list of runs.")
    return found


def commit_of(folder: Path) -> str:
    """The commit that a folder is at, with `-dirty` where files have changed since; empty outside a repository."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
