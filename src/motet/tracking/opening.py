"""Trackers by name, and what closes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from motet.errors import Problem, RecipeError, RunError, nearest
from motet.runs import RunFolder
from motet.tracking.mlflow import MLflow
from motet.tracking.sink import Sink
from motet.tracking.tensorboard import TensorBoard
from motet.tracking.tracker import Tracker, TrackerFailed, followed
from motet.tracking.trackio import Trackio
from motet.tracking.wandb import WandB

__all__ = ["TRACKERS", "tracked"]

TRACKERS: dict[str, type[Sink]] = {sink.name: sink for sink in (TensorBoard, MLflow, WandB, Trackio)}


@contextmanager
def tracked(names: Iterable[str], run: Path, warn: Callable[[str], object]) -> Iterator[list[Tracker]]:
    """The trackers of a run, by name, and those that have followed it before it was resumed.

    They are closed at the end, also of a run that fails.

    Args:
        names: which; the same twice is one.
        run: the run folder; need not exist yet.
        warn: told in a sentence what goes wrong after the run has closed its log, or with a tracker of before.

    Raises:
        RecipeError: a name is not known.
        RunError: the package of a tracker is not installed.

    Example:
        >>> with tracked(["tensorboard"], Path("runs/first"), print) as trackers:
        ...     [tracker.sink.name for tracker in trackers]
        ['tensorboard']
    """
    folder = RunFolder(run)
    wanted = list(dict.fromkeys(names))
    problems = [Problem("track", f"is not known. {nearest(name, TRACKERS)}", name) for name in wanted]
    if unknown := [problem for problem in problems if problem.found not in TRACKERS]:
        raise RecipeError(unknown)
    trackers = [Tracker(TRACKERS[name](), folder) for name in wanted]
    trackers += _of_before(folder, wanted, warn)
    try:
        yield trackers
    finally:
        for tracker in trackers:
            try:
                tracker.close()
            except TrackerFailed as failure:
                warn(str(failure))


def _of_before(run: RunFolder, wanted: Iterable[str], warn: Callable[[str], object]) -> Iterator[Tracker]:
    """Those that have followed the run so far; where one cannot go on, the run does."""
    for name in followed(run):
        if name in TRACKERS and name not in wanted:
            try:
                yield Tracker(TRACKERS[name](), run)
            except RunError as missing:
                warn(f"{missing} The run goes on without it.")
