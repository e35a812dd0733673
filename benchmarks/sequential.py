"""What a phase of the sequential setting costs: one task learns, those before it are held, tokens are the same.

    python benchmarks/sequential.py --precision bf16

Phases with one to five tasks take turns; each is compared with the first. All tasks ask the same of rows of their own,
so that only their number differs.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from measuring import Row, Stopwatch, table
from subject import Subject, opened

from architectures import case, many

_PHASES = 5
_MOST = 1.05


def phases(options: argparse.Namespace, folder: Path, stack: ExitStack) -> list[Subject]:
    """Runs of one task, of two, and so on, all but the last task of each held."""
    subjects = []
    for count in range(1, _PHASES + 1):
        place = folder / str(count)
        place.mkdir()
        phase = case("hard_sharing", many(count), options, options.tokens)
        subject = stack.enter_context(opened(phase, place))
        held = subject.held()
        held.popitem()
        subject.trainer.objective.held.update(held)
        subjects.append(subject)
    return subjects


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layers", type=int, help="of the default encoder; by default all")
    parser.add_argument("--tokens", type=int, default=1024, help="of a step")
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="motet-sequential-")))
        subjects = phases(options, folder, stack)
        watch = Stopwatch(subjects[0].prepared.devices.device, options.clock == "cpu")
        turns = [
            [watch.seconds(lambda of=of: of.step(options.steps)) for of in subjects]  # type: ignore[misc]
            for _ in range(options.rounds + 1)
        ][1:]  # the first warms up
    first = f"of one with 1 task, {options.tokens:,} tokens"
    rows = [
        Row(
            "docstrings",
            f"a step with {count} tasks, {first}",
            [turn[count - 1] / turn[0] for turn in turns],
            most=_MOST,
        )
        for count in range(2, _PHASES + 1)
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
