"""The small version of the reproduction, in under twenty minutes on two cores: `make reproduce`.

    python benchmarks/asynchronous/reproduce.py --jobs 2

With the data of setup A in the folder that MOTET_DATA names it is a small setup A; without, the same comparison on the
docstrings of this machine's Python. Finished runs are left alone, so the same command goes on after anything.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from page import Contest, by_task, held, results
from record import lines_of
from words import SETUPS

import motet
from motet.errors import UserError

_HERE = Path(__file__).resolve().parent
_SETS = ("pricerunner", "pros_cons", "clothing_reviews", "amcd_en", "customer_reviews")


def chosen() -> str:
    """The study that this machine has the data for."""
    folder = Path(os.environ.get("MOTET_DATA", "."))
    return "small" if all((folder / name).is_dir() for name in _SETS) else "small-docstrings"


def main() -> None:
    """Run what is not done yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("build/reproduce"))
    given = parser.parse_args()
    name = chosen()
    if name != "small":
        print(f"MOTET_DATA names no folder with {', '.join(_SETS)}: this is the version on docstrings.")
    folder = given.out / name
    try:
        ended = motet.sweep(_HERE / f"{name}.yaml", folder, jobs=given.jobs, tell=print)
    except UserError as error:
        raise SystemExit(str(error)) from error
    lines = list(lines_of(folder))
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    contest = Contest(SETUPS[name], lines)
    print("\n\n".join(of(contest) for of in (results, by_task, held)))
    print(f"\nevery run: {folder / 'lines.jsonl'}; the whole comparison: motet compare {folder}")
    failed = {run: error for run, error in ended.items() if error != "finished"}
    if failed:
        raise SystemExit("\n".join(f"{run}: {error}" for run, error in failed.items()))


if __name__ == "__main__":
    main()
