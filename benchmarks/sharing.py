"""What a second task costs: on the same rows next to nothing, on rows of its own a step of its own.

    python benchmarks/sharing.py --precision bf16

A step of two tasks on one source against a step of one of them, with the same rows in it; and a step of the two on
sources of their own, with the rows of both, against the two steps one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from measuring import Row, Stopwatch, table
from subject import Case, Subject, opened

from motet.data.docstrings import tasks
from motet.data.sources import Source

_TOKENS = 1024


def cases(options: argparse.Namespace) -> list[Case]:
    """One task, the other, both on one source, both on two."""
    kind, area = (replace(task, source=Source("docstrings")) for task in tasks() if task.name in ("kind", "area"))
    elsewhere = replace(area, source=Source("docstrings", seed=14))  # another source by its settings
    made = {"one": (kind,), "other": (elsewhere,), "shared": (kind, area), "apart": (kind, elsewhere)}
    return [
        Case(
            name=name,
            tasks=of,
            precision=options.precision,
            layers=options.layers,
            tokens=_TOKENS * (2 if name == "apart" else 1),
        )
        for name, of in made.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layers", type=int, help="of the default encoder; by default all")
    parser.add_argument("--steps", type=int, default=5, help="of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="motet-sharing-")))
        subjects: dict[str, Subject] = {}
        for case in cases(options):
            (folder / case.name).mkdir()
            subjects[case.name] = stack.enter_context(opened(case, folder / case.name))
        watch = Stopwatch(subjects["one"].prepared.devices.device, options.clock == "cpu")
        turns = [
            {name: watch.seconds(lambda of=of: of.step(options.steps)) for name, of in subjects.items()}  # type: ignore[misc]
            for _ in range(options.rounds + 1)
        ][1:]  # the first warms up
    both = [turn["apart"] / (turn["one"] + turn["other"]) for turn in turns]
    rows = [
        Row("docstrings", "two tasks on one source, of one", [t["shared"] / t["one"] for t in turns], most=1.10),
        Row("docstrings", "two tasks on two sources, of both alone", both),
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
