"""What it saves to keep freed memory from step to step, instead of giving it back to the system.

    python benchmarks/allocator.py --layers 3 --precision bf16

Two processes in turn, one as motet runs and one with the C library's defaults; every turn gives one ratio.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import Row, table
from subject import Choice, opened

from motet.training import devices


def seconds(options: argparse.Namespace) -> float:
    """One step, in this process."""
    if options.side == "plain":
        devices.keep_memory = lambda: None
    with tempfile.TemporaryDirectory(prefix="motet-allocator-") as folder:
        choice = Choice("docstrings", None, options.precision, options.layers)
        with opened(choice, Path(folder)) as subject:
            subject.step(3)  # the first ones warm up
            started = time.perf_counter()
            subject.step(options.steps)
            return (time.perf_counter() - started) / options.steps


def turn(side: str) -> float:
    """The same in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layers", type=int, help="of the default encoder; by default all")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=["plain", "kept"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(seconds(options))
        return
    ratios = [turn("kept") / turn("plain") for _ in range(options.rounds)]
    print(table([Row("docstrings", "a step with memory kept, seconds of one without", ratios)]))


if __name__ == "__main__":
    main()
