"""Write docs/results/optimisation.md from finished studies.

    motet sweep benchmarks/optimisation/docstrings-study.yaml --out studies/docstrings --jobs 2
    MOTET_DATA=FOLDER motet sweep benchmarks/optimisation/similar-study.yaml --out studies/similar --jobs 2
    python benchmarks/optimisation/page.py studies/docstrings studies/similar

A line for every run goes to docs/results/optimisation.jsonl, and the page is made from these lines; without folders it
is made anew from those that are there.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

_RESULTS = Path(__file__).resolve().parent.parent.parent / "docs" / "results"
_TITLES = {"docstrings": "Docstrings: five tasks of the demo", "similar": "Setup A: five similar tasks on product text"}
_INTRODUCTION = """# Sequential convergence beside joint

In the sequential setting one task learns at a time, and those before it are held by distillation; in the joint setting
all learn from the start, and each is held when it has converged. Recipes and studies are in `benchmarks/optimisation`:
two layers of the encoder, few rows, constant rate. A task has the same rows a step in all variants, so that a step of
the sequential setting is cheaper while few tasks are live; it may take more of them. Test was read once a run.
"""
Line = dict[str, Any]


def read(folder: Path) -> Iterator[Line]:
    """A line for every finished run of a study."""
    runs: dict[tuple[str, int], list[Mapping[str, str]]] = defaultdict(list)
    with (folder / "results.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                runs[row["variant"], int(row["seed"])].append(row)
    for (variant, seed), rows in runs.items():
        yield {
            "study": folder.name,
            "variant": variant,
            "seed": seed,
            "scores": {row["task"]: float(row["score"]) for row in rows},
            "metrics": {row["task"]: row["metric"] for row in rows},
            "commit": rows[0]["commit"],
            "recipe": rows[0]["recipe"],
            **_course(folder / "runs" / rows[0]["run"]),
        }


def _course(run: Path) -> Line:
    """What happened in a run: steps, tokens, when tasks converged, how far their scores fell."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    end = next(event for event in events if event["event"] == "end")
    switches = {event["task"]: event["step"] for event in events if event["event"] == "converged"}
    tokens = sum(event.get("tokens", 0) for event in events if event["event"] == "step")
    return {"steps": end["step"], "reason": end["reason"], "tokens": tokens, "converged": switches}


def page(lines: Sequence[Line]) -> str:
    """The whole page."""
    studies = [name for name in _TITLES if any(line["study"] == name for line in lines)]
    parts = [_INTRODUCTION, *(_study(name, [line for line in lines if line["study"] == name]) for name in studies)]
    return "\n".join([*parts, _again()])


def _study(name: str, lines: Sequence[Line]) -> str:
    tasks = list(lines[0]["scores"])
    variants = list(dict.fromkeys(line["variant"] for line in lines))
    head = ["variant", *(f"{task}, {lines[0]['metrics'][task]}" for task in tasks), "mean", "steps", "tokens", "seeds"]
    rows = []
    for variant in variants:
        of = sorted((line for line in lines if line["variant"] == variant), key=lambda line: line["seed"])
        scores = [_spread([100 * line["scores"][task] for line in of]) for task in tasks]
        means = _spread([_mean(line) for line in of])
        costs = [f"{mean(line[what] for line in of):,.0f}" for what in ("steps", "tokens")]
        rows.append([variant, *scores, means, *costs, str(len(of))])
    order = sorted(lines, key=lambda line: (variants.index(line["variant"]), line["seed"]))
    runs = [
        [line["variant"], str(line["seed"]), _spread([_mean(line)]), line["reason"], _switches(line)] for line in order
    ]
    parts = [
        f"## {_TITLES[name]}\n\nTest, in percent, mean over the seeds ± standard deviation.\n",
        _table(head, rows),
        "\nEvery run, and the steps at which tasks converged:\n",
        _table(["variant", "seed", "mean", "ended", "converged"], runs),
        *_differences(variants, lines),
    ]
    return "\n".join(parts)


def _differences(variants: Sequence[str], lines: Sequence[Line]) -> Iterator[str]:
    """The first variant against the others, paired by seed."""
    means = {(line["variant"], line["seed"]): _mean(line) for line in lines}
    yield ""
    for variant in variants[1:]:
        gains = [value - means[variants[0], seed] for (of, seed), value in means.items() if of == variant]
        wins = sum(gain > 0 for gain in gains)
        gain, of = _spread(gains, sign=True), f"{wins} of {len(gains)} seeds"
        yield f"* `{variant}` less `{variants[0]}`: {gain} points, above in {of}."
    yield ""


def _mean(line: Line) -> float:
    return 100 * mean(line["scores"].values())


def _switches(line: Line) -> str:
    return ", ".join(f"{task} {step:,}" for task, step in line["converged"].items()) or "none"


def _spread(values: Sequence[float], *, sign: bool = False) -> str:
    middle = f"{mean(values):+.2f}" if sign else f"{mean(values):.2f}"
    return f"{middle} ± {stdev(values):.2f}" if len(values) > 1 else middle


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def _again() -> str:
    commands = (__doc__ or "").split("\n\n")[1]
    return f"## Again\n\n{commands}\n"


def main() -> None:
    """Add the lines of studies, and write the page."""
    file = _RESULTS / "optimisation.jsonl"
    known = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    for folder in map(Path, sys.argv[1:]):
        known = [line for line in known if line["study"] != folder.name] + list(read(folder))
    file.write_text("".join(json.dumps(line) + "\n" for line in known), encoding="utf-8")
    (_RESULTS / "optimisation.md").write_text(page(known), encoding="utf-8")


if __name__ == "__main__":
    main()
