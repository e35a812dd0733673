"""Takes the first step of a run in a process of its own and prints how many seconds that took, imports left out.

python benchmarks/first_step.py FOLDER docstrings PRECISION [LAYERS]
python benchmarks/first_step.py FOLDER RECIPE PRECISION LAYERS DATA
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import cast

from subject import Choice, Precision, opened


def main(folder: str, source: str, precision: Precision, layers: str = "", data: str = "") -> None:
    """Set up, step once, print the seconds."""
    choice = Choice(source, Path(data) if data else None, precision, int(layers) if layers else None)
    started = time.perf_counter()
    with opened(choice, Path(folder)) as subject:
        subject.step(1)
        print(time.perf_counter() - started)


if __name__ == "__main__":
    where, what, how, *more = sys.argv[1:]
    main(where, what, cast(Precision, how), *more)
