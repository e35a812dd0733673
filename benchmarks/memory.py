"""Compares the peak memory of a run on millions of rows with that of the same run on 5,000.

    python benchmarks/memory.py
    python benchmarks/memory.py --rows 500000

Everything is made on the spot: a tiny random encoder of one layer, generated sentences as Parquet, a classification
and a regression of them. Each run is a process of its own. Early on the classification is called converged, so the
predictions of its best weights are recorded for all training rows; then it is distilled from them to the end.

Memory is what Linux says of the process in /proc: the resident set at its highest (what `ru_maxrss` is too), and how
much of it was at most the process's own, that is, no pages of files. Processes that tokenise for a few minutes are
not counted. Exits with 1 where the resident set grew by more than 300 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from toy_run import write_recipe

from motet.recipe import load
from motet.runs import RunFolder
from motet.training.run import start

_FEW = 5_000
_MOST = 300  # MiB
_VALIDATION = 2_000
_BATCH = 50_000  # rows that are generated at a time
_WORDS = ("good", "bad", "film", "train", "rain", "heart", "dry", "cold", "nine", "slow", "warm", "paris", "london")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Measured:
    """What one run needed.

    Args:
        rows: to learn from.
        peak: MiB of the resident set at its highest.
        own: MiB of it that were no pages of files, at their highest.
        recorded: bytes of the soft labels.
        recording: seconds in which they were recorded.
        seconds: of the whole run.
    """

    rows: int
    peak: float
    own: float
    recorded: int
    recording: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.rows:>9,} rows: peak {self.peak:.0f} MiB, of its own at most {self.own:.0f}; "
            f"{self.recorded / 2**20:.1f} MiB recorded in {self.recording:.0f} s; {self.seconds:.0f} s in all"
        )


def write_source(folder: Path, rows: int) -> None:
    """Sentences of 8 to 12 words with one of four topics and a score, in batches."""
    folder.mkdir()
    for seed, (split, count) in enumerate({"train": rows, "validation": _VALIDATION}.items()):
        random = np.random.default_rng(seed)
        schema = pa.schema([("text", pa.string()), ("topic", pa.string()), ("score", pa.float64())])
        with parquet.ParquetWriter(folder / f"{split}.parquet", schema) as writer:
            for start_ in range(0, count, _BATCH):
                writer.write_table(_rows(min(_BATCH, count - start_), random).cast(schema))


def _rows(count: int, random: np.random.Generator) -> pa.Table:
    """No text tells its topic, so that the score of the topics soon stops rising; the score is the share of `good`."""
    words = random.integers(len(_WORDS), size=(count, 12)).tolist()
    lengths = random.integers(8, 13, size=count).tolist()
    chosen = [[_WORDS[word] for word in row[:length]] for row, length in zip(words, lengths, strict=True)]
    return pa.table(
        {
            "text": [" ".join(row) for row in chosen],
            "topic": np.asarray(["arts", "home", "news", "town"])[random.integers(4, size=count)],
            "score": [row.count("good") / len(row) for row in chosen],
        }
    )


def _write_recipe(folder: Path, source: Path, steps: int) -> Path:
    """The recipe of a run: the topics are called converged as soon as a check is no better than the one before."""
    (folder / "toy").mkdir()
    toy = json.loads(write_recipe(folder / "toy", steps).read_text(encoding="utf-8"))
    read = {"source": str(source), "text": "text"}
    recipe = {
        "encoder": {**toy["encoder"], "layers": 1},
        "tasks": {
            "topic": {"type": "classification", "label": "topic", **read},
            "score": {"type": "regression", "value": "score", **read},
        },
        "convergence": {
            "checks": steps,
            "tasks": {"topic": {"checks": 1, "epochs": 0, "min_epochs": 0, "min_delta": 1, "smooth": 1}},
        },
        "training": {**toy["training"], "steps": steps, "check_every": max(1, steps // 20), "tokens_per_batch": 2048},
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps(recipe), encoding="utf-8")
    return path


def measure(rows: int, steps: int) -> Measured:
    """Run once in a process of its own, with caches of its own."""
    with tempfile.TemporaryDirectory(prefix="motet-memory-") as name:
        folder = Path(name)
        print(f"{rows:,} rows ...", file=sys.stderr, flush=True)
        write_source(folder / "source", rows)
        recipe = _write_recipe(folder, folder / "source", steps)
        caches = {"MOTET_CACHE": str(folder / "motet"), "HF_DATASETS_CACHE": str(folder / "datasets")}
        command = [sys.executable, __file__, "--run", str(recipe)]
        done = subprocess.run(command, env={**os.environ, **caches}, stdout=subprocess.PIPE, text=True, check=True)
        return Measured(rows, **json.loads(done.stdout.splitlines()[-1]))


def _run(recipe: Path) -> dict[str, Any]:
    """Run a recipe in this process; returns what `Measured` wants to know but the rows."""
    watch = _Watch()
    started = time.perf_counter()
    folder: RunFolder = start(load(recipe).experiment, recipe.parent / "run").folder
    seconds = time.perf_counter() - started
    recorded = [event for event in folder.events() if event["event"] == "soft_labels"]
    if not recorded:
        raise SystemExit("No task converged, so nothing was recorded: take more --steps.")
    return {
        "peak": _status("VmHWM"),
        "own": watch.highest,
        "recorded": sum(event["bytes"] for event in recorded),
        "recording": sum(event["seconds"] for event in recorded),
        "seconds": seconds,
    }


class _Watch:
    """Looks at this process twenty times a second."""

    def __init__(self) -> None:
        self.highest = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self.highest = max(self.highest, _status("RssAnon"))
            time.sleep(0.05)


def _status(name: str) -> float:
    """MiB under a name in the status of this process."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[name].split()[0]) / 2**10


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the large source")
    parser.add_argument("--steps", type=int, default=300, help="of both runs")
    parser.add_argument("--json", type=Path, help="write the numbers to a file, too")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both runs, print, and write a file if one was named."""
    options = _options(arguments)
    if options.run:
        print(json.dumps(_run(options.run)))
        return
    few, many = measured = [measure(rows, options.steps) for rows in (_FEW, options.rows)]
    grown = many.peak - few.peak
    print(*measured, sep="\n")
    print(f"difference: peak {grown:+.0f} MiB, of its own {many.own - few.own:+.0f} MiB; at most {_MOST} MiB: ", end="")
    print("met" if grown <= _MOST else "MISSED")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in measured], indent=1), encoding="utf-8")
    sys.exit(grown > _MOST)


if __name__ == "__main__":
    main()
