"""How much holding every task at its own peak could win, from the curves of plain runs.

    python benchmarks/asynchronous/headroom.py LINES.jsonl STUDY ...

The headroom of a run is the mean over tasks of each task's own highest validation score, less the mean at the best
single check. Every check has noise, and a maximum of many noisy numbers is too high, that of one task more so than that
of a mean of several: so it is told also for running means of three checks, where luck counts for less.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Headroom", "grid", "headroom", "spread", "table"]


class Headroom(NamedTuple):
    """What could be won, in points.

    Args:
        raw: over single checks.
        smoothed: over running means of three checks.
        fall: the mean over tasks of what each is below its peak at the end, by running means.
    """

    raw: float
    smoothed: float
    fall: float


def headroom(curves: Mapping[str, Sequence[float]]) -> Headroom:
    """That of one run, from the validation score of every task at every check; higher is better.

    Example:
        >>> headroom({"a": [1.0, 5.0, 1.0, 1.0], "b": [1.0, 1.0, 1.0, 3.0]})
        Headroom(raw=1.0, smoothed=0.3333333333333335, fall=0.33333333333333326)
    """
    scores = np.array(list(curves.values()), dtype=np.float64)
    means = _running(scores)
    return Headroom(_room(scores), _room(means), float((means.max(axis=1) - means[:, -1]).mean()))


def _room(scores: np.ndarray) -> float:
    return float(scores.max(axis=1).mean() - scores.mean(axis=0).max())


def _running(scores: np.ndarray, width: int = 3) -> np.ndarray:
    ends = range(1, scores.shape[1] + 1)
    return np.stack([scores[:, max(0, end - width) : end].mean(axis=1) for end in ends], axis=1)


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """A row for every variant, mean over its seeds."""
    rows = []
    for variant in dict.fromkeys(line["variant"] for line in lines):
        own = [line for line in lines if line["variant"] == variant and line["curves"]]
        found = [headroom(line["curves"]) for line in own]
        best = [max(np.mean(list(line["curves"].values()), axis=0)) for line in own]
        peaks = "; ".join(f"{task} {_when(own, task)}" for task in own[0]["curves"])
        figures = [spread(values) for values in (*zip(*found, strict=True), best)]
        rows.append([variant, str(len(own)), *figures, peaks])
    head = [
        "variant",
        "runs",
        "headroom",
        "of running means",
        "fall to the end",
        "best mean",
        "peak at step, own passes",
    ]
    return grid(head, rows)


def _when(lines: Sequence[Mapping[str, Any]], task: str) -> str:
    """At which step a task was best, by running means, and its own passes until then."""
    found = []
    for line in lines:
        at = int(np.argmax(_running(np.array([line["curves"][task]]))[0]))
        found.append((line["checked"][at], line["epochs"][task] * line["checked"][at] / line["checked"][-1]))
    steps, passes = (mean(values) for values in zip(*found, strict=True))
    return f"{steps:.0f} ({passes:.1f})"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{mean(values):.2f}"


def main() -> None:
    """Print the table of some studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path)
    parser.add_argument("studies", nargs="+", help="their names in the file")
    given = parser.parse_args()
    lines = [json.loads(line) for line in given.lines.read_text(encoding="utf-8").splitlines()]
    for study in given.studies:
        print(f"{study}\n\n{table([line for line in lines if line['study'] == study])}\n")


if __name__ == "__main__":
    main()
