"""What architectures cost: steps and memory against hard sharing on the same batches, and what fifty tasks cost.

    python benchmarks/architectures.py --precision bf16
    python benchmarks/architectures.py --only adapters mmoe --layers 2
    python benchmarks/architectures.py --own --only adapters lora
    python benchmarks/architectures.py --fifty --only adapters lora mmoe mixture_of_experts

The five tasks of `motet demo`, three of which read the same rows: hard sharing reads them once, an architecture that
computes differently for each task reads them for each. With `--own` each of five tasks has rows of its own. Two models
take turns with the same rows; memory is the most that a process of its own ever held, encoder and libraries included.
With `--fifty`, fifty tasks on sources of their own against five of them, at equal tokens.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from measuring import Row, Stopwatch, peak_memory, table
from subject import Case, Subject, opened

from motet import registry
from motet.architectures.base import Architecture
from motet.data.docstrings import tasks
from motet.data.sources import Source
from motet.sampling.uniform import Uniform
from motet.tasks.base import Task

_PLAIN = "hard_sharing"
_MOST = {"adapters": 1.0}  # of a step of hard sharing that trains the whole encoder
_MOST_OF_MANY = {"adapters": 1.25}
_MOST_OF_MODULES = 1.5


def five() -> tuple[Task, ...]:
    """Those of the demo."""
    source = Source("docstrings", rows={"train": 2000, "validation": 50})
    return tuple(replace(task, source=source) for task in tasks())


def many(count: int) -> tuple[Task, ...]:
    """As many choices of a kind, each on rows of its own."""
    kind = next(task for task in tasks() if task.name == "kind")
    sources = [Source("docstrings", rows={"train": 100, "validation": 10}, seed=seed) for seed in range(count)]
    return tuple(replace(kind, name=f"kind{at}", source=source) for at, source in enumerate(sources))


def chosen(options: argparse.Namespace) -> tuple[Task, ...]:
    """The five tasks that are asked for."""
    return many(5) if options.own else five()


def case(name: str, of: tuple[Task, ...], options: argparse.Namespace, tokens: int = 1024) -> Case:
    """A run of an architecture as it comes; the tasks are halved where it needs groups."""
    middle, called = len(of) // 2, [task.name for task in of]
    needed = {"group_trunks": {"groups": {"first": tuple(called[:middle]), "second": tuple(called[middle:])}}}
    part: Architecture = registry.find("architecture", name)(**needed.get(name, {}))
    return Case(
        name=name,
        tasks=of,
        precision=options.precision,
        layers=options.layers,
        tokens=tokens,
        architecture=part,
        sampler=Uniform(),
    )


def compared(first: Case, second: Case, options: argparse.Namespace) -> list[float]:
    """Steps of the second over steps of the first, turn by turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="motet-architectures-")))
        subjects: list[Subject] = []
        for place, measured in enumerate((first, second)):
            (folder / str(place)).mkdir()
            subjects.append(stack.enter_context(opened(measured, folder / str(place))))
        watch = Stopwatch(subjects[0].prepared.devices.device, options.clock == "cpu")
        one, other = (lambda of=of: of.step(options.steps) for of in subjects)  # type: ignore[misc]
        return [later / sooner for sooner, later in watch.turns(one, other, options.rounds)]


def peak(name: str, options: argparse.Namespace) -> float:
    """MiB that a process of its own held at most while it took some steps."""
    layers = [] if options.layers is None else ["--layers", str(options.layers)]
    own = ["--own"] if options.own else []
    command = [sys.executable, __file__, "--peak", name, "--precision", options.precision, *layers, *own]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def report_peak(name: str, options: argparse.Namespace) -> None:
    """Take some steps and print the most memory that was held, in MiB."""
    measured = case(name, chosen(options), options)
    with (
        tempfile.TemporaryDirectory(prefix="motet-architectures-") as folder,
        opened(measured, Path(folder)) as subject,
    ):
        subject.step(5)
    print(peak_memory() / 2**20)


def against_plain(names: list[str], options: argparse.Namespace) -> list[Row]:
    """A step and the memory of each, of those of hard sharing."""
    plain, rows = case(_PLAIN, chosen(options), options), []
    memory = peak(_PLAIN, options)
    for name in names:
        if name != _PLAIN:
            ratios = compared(plain, case(name, chosen(options), options), options)
            rows.append(Row("docstrings", f"{name}: a step", ratios, most=_MOST.get(name)))
            rows.append(Row("docstrings", f"{name}: memory", [peak(name, options) / memory]))
            print(table(rows[-2:]), flush=True)
    return rows


def of_fifty(names: list[str], options: argparse.Namespace) -> list[Row]:
    """A step of fifty tasks, of one of five, at equal tokens."""
    rows = []
    for name in names:
        ratios = compared(*(case(name, many(count), options, tokens=4096) for count in (5, 50)), options)
        most = _MOST_OF_MANY.get(name, _MOST_OF_MODULES)
        rows.append(Row("docstrings", f"{name}: fifty tasks, of five", ratios, most=most))
        print(table(rows[-1:]), flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the architectures; by default all")
    parser.add_argument("--own", action="store_true", help="five tasks with rows of their own")
    parser.add_argument("--fifty", action="store_true", help="fifty tasks against five")
    parser.add_argument("--peak", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layers", type=int, help="of the default encoder; by default all")
    parser.add_argument("--steps", type=int, default=3, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    if options.peak:
        report_peak(options.peak, options)
        return
    names = options.only or list(registry.names("architecture"))
    print(table((of_fifty if options.fifty else against_plain)(names, options)))


if __name__ == "__main__":
    main()
