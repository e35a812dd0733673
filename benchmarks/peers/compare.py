"""motet and its peers side by side: same encoder, rows and budget of real tokens; speed and quality of each.

    python benchmarks/peers/compare.py FOLDER                                    five tasks on docstrings
    python benchmarks/peers/compare.py FOLDER --recipe recipes/similar.yaml --data DATA

FOLDER holds an environment for every peer; `compare.sh` makes them and then calls this. Every run is a process of its
own with one thread on the CPU. A seed of all libraries comes before the next seed, and who begins changes with it, so
that a machine whose speed drifts does so for all. Finished runs are skipped: the same command goes on after anything.
Every run becomes a line of FOLDER/lines.jsonl, from which the table is made.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from export_tasks import chosen, export
from given import Given, read
from table import page

from motet.errors import UserError
from motet.metrics.classification import classification
from motet.training.devices import Devices

__all__ = ["Turn", "main", "scored", "turns"]

_HERE = Path(__file__).resolve().parent
_TRAINER_ROWS = 8  # of a batch of transformers' Trainer

# What each can compute in; the first is what it does when it is not told.
PEERS = {
    "transformers": ("fp32", "bf16"),
    "sentence-transformers": ("fp32", "bf16"),
    "tasknet": ("fp32", "bf16"),
    "libmtl": ("fp32",),
    "torchjd": ("fp32", "bf16"),
}
Line = dict[str, Any]


class Turn(NamedTuple):
    """One run.

    Args:
        library: which.
        precision: of its matrix products.
        seed: of everything random.
        box: whether it is as the library does it when it is not told.
        step: tokens of a step, for motet; None for its own number.
    """

    library: str
    precision: str
    seed: int
    box: bool
    step: int | None = None

    @property
    def key(self) -> tuple[str, str, int, int | None]:
        """What tells it from the other runs."""
        return self.library, self.precision, self.seed, self.step

    @property
    def name(self) -> str:
        """For its folder."""
        return "-".join(map(str, (part for part in self.key if part is not None)))


def turns(libraries: Sequence[str], seeds: Sequence[int], own: str, small: int) -> list[Turn]:
    """All runs, in the order in which they are made.

    Args:
        libraries: those that take part.
        seeds: of the runs.
        own: the precision that motet chooses.
        small: tokens of a step that is as small as the Trainer's.
    """
    found = []
    for place, seed in enumerate(seeds):
        of_seed = [turn for library in libraries for turn in _of_library(library, seed, own, small)]
        first = place * len(of_seed) // max(1, len(seeds))
        found += of_seed[first:] + of_seed[:first]
    return found


def _of_library(library: str, seed: int, own: str, small: int) -> Iterator[Turn]:
    if library == "motet":
        for precision in ("fp32", "bf16"):
            yield Turn(library, precision, seed, precision == own)
        yield Turn(library, "fp32", seed, False, small)
    else:
        for precision in PEERS[library]:
            yield Turn(library, precision, seed, precision == PEERS[library][0])


def perform(turn: Turn, given: Given, options: argparse.Namespace) -> Line:
    """Make one run, and score what it answers."""
    out = options.folder / "runs" / turn.name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    line = {**turn._asdict(), "given": given.digest, "budget": options.tokens, "data": options.name}
    line |= {"rate": options.rate, "layers": options.layers, "machine": _machine()}
    failure = _call(turn, out, options)
    if failure:
        return {**line, "error": failure}
    measured = json.loads((out / "measured.json").read_text(encoding="utf-8"))
    scores = scored(given, json.loads((out / "answers.json").read_text(encoding="utf-8")))
    for heavy in ("run", "trainer"):  # weights, which are not needed any more
        shutil.rmtree(out / heavy, ignore_errors=True)
    return {**line, **measured, "scores": scores}


def _call(turn: Turn, out: Path, options: argparse.Namespace) -> str:
    """Run a program to its end; why it failed, or nothing."""
    with (out / "output.txt").open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                command(turn, out, options),
                env=_surroundings(options.folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=options.limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"took more than {options.limit} s"
        except OSError as error:
            return str(error)
    lines = (out / "output.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return (said[-1] if said else f"ended with {done.returncode}") if done.returncode else ""


def command(turn: Turn, out: Path, options: argparse.Namespace) -> list[str]:
    """What is run."""
    program = _HERE / f"with_{turn.library.replace('-', '_')}.py"
    ours = turn.library == "motet"
    python = sys.executable if ours else str(options.folder / turn.library / "bin" / "python")
    told = {"tokens": options.tokens, "rate": options.rate, "precision": turn.precision, "seed": turn.seed}
    if ours:
        told |= {"step": turn.step, "recipe": options.recipe}
    words = [word for name, value in told.items() if value is not None for word in (f"--{name}", str(value))]
    return [python, str(program), str(options.folder / "data"), str(out), *words]


def _surroundings(folder: Path) -> dict[str, str]:
    """One thread, no GPU, no network, caches apart, and the memory of the C library as it comes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    caches = {"HF_HOME": str(folder / "cache"), "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
    return {**kept, **threads, **offline, **caches}


def _machine() -> dict[str, Any]:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def scored(given: Given, answers: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, dict[str, float]]:
    """The score of every task by its metric, by split: the same function for all libraries."""
    return {
        split: {task.name: _score(task, split, of[task.name]) for task in given.tasks} for split, of in answers.items()
    }


def _score(task: Any, split: str, guesses: Sequence[int]) -> float:
    truth = np.asarray([row.label for row in task.rows(split)])
    scores = classification(truth, np.asarray(guesses), len(task.labels), task.labels.index(task.positive))
    return scores[task.metric].value


def recorded(file: Path) -> list[Line]:
    """All lines so far."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def run_all(given: Given, options: argparse.Namespace) -> list[Line]:
    """Make every run that is not recorded yet; the lines of all that were asked for."""
    asked = turns(options.only, options.seeds, options.own, round(_TRAINER_ROWS * given.tokens))

    def mine(line: Line) -> bool:
        return (line["given"], line["budget"], line["rate"]) == (given.digest, options.tokens, options.rate)

    done = {_key(line) for line in recorded(options.lines) if mine(line) and "error" not in line}
    lock = Lock()

    def take(turn: Turn) -> None:
        line = perform(turn, given, options)
        with lock, options.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        told = line.get("error") or f"{line['real'] / line['seconds']:,.0f} real tokens/s"
        print(f"{turn.name}: {told}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(take, [turn for turn in asked if turn.key not in done]))
    latest = {_key(line): line for line in recorded(options.lines) if mine(line)}
    return [latest[turn.key] for turn in asked]


def _key(line: Line) -> tuple[str, str, int, int | None]:
    return line["library"], line["precision"], line["seed"], line["step"]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/peers"))
    parser.add_argument("--recipe", type=Path, help="whose tasks are learnt; by default five on docstrings")
    parser.add_argument("--data", type=Path, help="folder with the data sets of the recipe")
    parser.add_argument("--layers", type=int, help="of the encoder; by default as the recipe says, or all")
    parser.add_argument("--tokens", type=int, default=20_000, help="real tokens of a run")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate of all libraries")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train-rows", type=int, default=3000, help="most of a task")
    parser.add_argument("--held-rows", type=int, default=200, help="most of a task in validation, and in test")
    parser.add_argument("--only", nargs="+", choices=["motet", *PEERS], default=["motet", *PEERS], metavar="LIBRARY")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; at most one for each idle core")
    parser.add_argument("--limit", type=int, default=3600, help="most seconds of a run")
    parser.add_argument("--lines", type=Path, help="where lines are kept; by default FOLDER/lines.jsonl")
    options = parser.parse_args(arguments)
    options.folder = options.folder.absolute()
    options.lines = options.lines or options.folder / "lines.jsonl"
    options.recipe = options.recipe and options.recipe.absolute()
    options.name = options.recipe.stem if options.recipe else "docstrings"
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Export, run what is missing, and print the table."""
    options = _options(arguments)
    most = {"train": options.train_rows, "validation": options.held_rows, "test": options.held_rows}
    data = options.folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    try:
        export(chosen(options.recipe, options.data, options.layers), options.data, data, most)
    except UserError as error:
        sys.exit(str(error))
    torch.set_num_threads(1)  # as in the runs, or another precision may be the faster one
    options.own = Devices("cpu").precision
    print(page(run_all(read(data), options)))


if __name__ == "__main__":
    main()
