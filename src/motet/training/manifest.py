"""What a run is begun with, written down, and held against what it is resumed with."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from motet.errors import Problem, RunError
from motet.runs import RunFolder, write_atomically
from motet.spelling import to_yaml
from motet.training.experiment import Experiment
from motet.training.plan import Prepared

__all__ = ["require_same", "write_beginning"]


def write_beginning(run: RunFolder, experiment: Experiment, prepared: Prepared, folder: Path | None) -> None:
    """Write the resolved recipe and the manifest.

    Args:
        run: the run folder.
        experiment: as it was given, before anything was filled in from the data.
        prepared: for the device, the precision and the fingerprints of the data.
        folder: where relative paths of sources are looked up.
    """
    text = to_yaml(experiment.describe())
    write_atomically(run.recipe_file, lambda path: path.write_text(text, encoding="utf-8"))
    manifest = _manifest(experiment, prepared)
    run.write_json(run.manifest_file, {**manifest, "folder": str(folder.resolve()) if folder else None})


def _manifest(experiment: Experiment, prepared: Prepared) -> dict[str, Any]:
    packages = ("motet", "torch", "transformers", "accelerate", "datasets", "tokenizers", "numpy", "scipy")
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "device": prepared.devices.device.type,
        "precision": prepared.devices.precision,
        "processes": prepared.devices.count,
        "threads": torch.get_num_threads(),
        "seed": experiment.training.seed,
        "data": prepared.corpus.fingerprints,
        "experiment": experiment.describe(),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def require_same(before: Any, now: Any, what: str) -> None:
    """Refuse to go on with other settings or rows.

    Raises:
        RunError: names everything that differs, with both values.
    """
    problems = [
        Problem(path, f"was {old!r} when the run was begun, is {new!r} now") for path, old, new in _changes(before, now)
    ]
    if problems:
        raise RunError(problems, heading=f"A run goes on only with the same settings and rows: {what}")


def _changes(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            yield from _changes(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif before != now:
        yield path, before, now
