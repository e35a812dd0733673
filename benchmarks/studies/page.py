"""Write a page of docs/results from finished studies.

A line for every system goes to docs/results/PAGE.jsonl (a system is a variant with a seed: one run, or a run for every
task alone), and the page is made from these lines; without folders it is made anew from those that are there.

    python benchmarks/studies/page.py PAGE [STUDY ...]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pages import PAGES, Page

from motet.study.records import read_tested, record_file
from motet.study.results import Result, System, gather

_RESULTS = Path(__file__).resolve().parent.parent.parent / "docs" / "results"
Line = dict[str, Any]


def read(folder: Path, page: Page) -> Iterator[Line]:
    """A line for every system of a study."""
    gathered = gather([folder])
    missing = [result.run.path.name for result in gathered.results if result.line["planned"] and not result.counts]
    if missing:
        raise SystemExit(f"{folder} is not finished: {', '.join(missing)}. `motet sweep` goes on with it.")
    repeated = _marked(page.repeated) if page.repeated else frozenset()
    for variant, of_seeds in gathered.systems.items():
        for seed, system in of_seeds.items():
            strict = {"strict": _without(system, repeated)} if repeated else {}
            yield {"study": folder.name, "variant": variant, "seed": seed, **_scores(system), **strict, **_cost(system)}


def _scores(system: System) -> Line:
    tested = system.tested
    return {
        "scores": {name: of.score for name, of in tested.items()},
        "metrics": {name: of.metric for name, of in tested.items()},
    }


def _cost(system: System) -> Line:
    steps, tokens, seconds = system.cost
    switches = {task: step for result in system.results for task, step in _switches(result).items()}
    return {
        "steps": steps,
        "tokens": tokens,
        "seconds": round(seconds),
        "converged": switches,
        "ended": sorted({_last(result)["reason"] for result in system.results}),
        "commits": sorted({str(result.line["commit"]) for result in system.results}),
        "runs": [result.run.path.name for result in system.results],
    }


def _last(result: Result) -> Mapping[str, Any]:
    """The event with which a run ended."""
    return [event for event in result.run.events() if event["event"] == "end"][-1]


def _switches(result: Result) -> dict[str, int]:
    """The step at which each task converged."""
    return {event["task"]: event["step"] for event in result.run.events() if event["event"] == "converged"}


def _marked(repeated: tuple[str, str]) -> frozenset[str]:
    """The ids of the test rows that a data set marks in a column."""
    name, column = repeated
    file = Path(os.environ["MOTET_DATA"]) / name / "test.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return frozenset(row["id"] for row in map(json.loads, lines) if row[column])


def _without(system: System, ids: frozenset[str]) -> dict[str, float]:
    """The share of right answers among the other test rows."""
    tested = {name: of for result in system.results for name, of in read_tested(record_file(result.run), True).items()}
    kept = {name: [row for row in of.texts if row["id"] not in ids] for name, of in tested.items()}
    return {name: mean(row["truth"] == row["answer"] for row in rows) for name, rows in kept.items()}


def write(page: Page, lines: Sequence[Line]) -> str:
    """The whole page."""
    studies = [name for name in page.studies if any(line["study"] == name for line in lines)]
    parts = [page.introduction, *(_study(page, name, [of for of in lines if of["study"] == name]) for name in studies)]
    return "\n".join([*parts, f"## Again\n\n{page.commands}"])


def _study(page: Page, name: str, lines: Sequence[Line]) -> str:
    variants = {of: [line for line in lines if line["variant"] == of] for of in _names(lines)}
    parts = [
        f"## {page.studies[name]}\n",
        f"Test, in percent, mean over {_seeds(variants)} seeds ± standard deviation.\n",
        _scores_table(page, variants),
        "",
        *_differences(variants),
        "\nEvery system, with all its runs:\n",
        _runs_table(lines),
    ]
    return "\n".join(parts) + "\n"


def _names(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line["variant"] for line in lines))


def _seeds(variants: Mapping[str, Sequence[Line]]) -> str:
    return " or ".join(map(str, sorted({len(of) for of in variants.values()})))


def _scores_table(page: Page, variants: Mapping[str, Sequence[Line]]) -> str:
    first = next(iter(variants.values()))[0]
    rows = []
    for task, metric in first["metrics"].items():
        cells = [_spread([100 * of["scores"][task] for of in lines]) for lines in variants.values()]
        rows.append([f"{task}, {metric}", *cells])
    rows.append(["**mean**", *(_spread([_mean(of["scores"]) for of in lines]) for lines in variants.values())])
    if "strict" in first:
        strict = [_spread([_mean(of["strict"]) for of in lines]) for lines in variants.values()]
        rows.append([f"mean without {page.repeated_words}", *strict])
    for what in ("steps", "tokens", "seconds"):
        rows.append([what, *(f"{mean(of[what] for of in lines):,.0f}" for lines in variants.values())])
    return _table(["task", *variants], rows)


def _differences(variants: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """The first variant against the others, paired by seed."""
    base, *others = variants
    means = {(of, line["seed"]): _mean(line["scores"]) for of, lines in variants.items() for line in lines}
    for variant in others:
        gains = [value - means[base, seed] for (of, seed), value in means.items() if of == variant]
        wins = f"above in {sum(gain > 0 for gain in gains)} of {len(gains)} seeds"
        yield f"* `{variant}` less `{base}`: {_spread(gains, sign=True)} points, {wins}.{_sure(gains)}"


def _sure(gains: Sequence[float]) -> str:
    """Whether the difference is one: two standard errors, or silence."""
    sure = len(gains) > 1 and abs(mean(gains)) > 2 * stdev(gains) / len(gains) ** 0.5
    return "" if sure else " Within two standard errors: no difference can be claimed."


def _runs_table(lines: Sequence[Line]) -> str:
    rows = []
    for of in lines:
        outcome = [f"{_mean(of['scores']):.2f}", ", ".join(of["ended"]), _converged(of), _commits(of)]
        rows.append([of["variant"], str(of["seed"]), *outcome])
    return _table(["variant", "seed", "mean", "ended", "converged at step", "commit"], rows)


def _converged(line: Line) -> str:
    return ", ".join(f"{task} {step:,}" for task, step in line["converged"].items()) or "none"


def _commits(line: Line) -> str:
    return ", ".join(f"`{commit[:7]}`" for commit in line["commits"])


def _mean(scores: Mapping[str, float]) -> float:
    return 100 * mean(scores.values())


def _spread(values: Sequence[float], *, sign: bool = False) -> str:
    middle = f"{mean(values):+.2f}" if sign else f"{mean(values):.2f}"
    return f"{middle} ± {stdev(values):.2f}" if len(values) > 1 else middle


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def main() -> None:
    """Add the lines of studies, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("studies", nargs="*", type=Path, help="folders of finished studies")
    given = parser.parse_args()
    page, file = PAGES[given.page], _RESULTS / f"{given.page}.jsonl"
    known = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    for folder in given.studies:
        known = [line for line in known if line["study"] != folder.name] + list(read(folder, page))
    file.write_text("".join(json.dumps(line) + "\n" for line in known), encoding="utf-8")
    (_RESULTS / f"{given.page}.md").write_text(write(page, known), encoding="utf-8")


if __name__ == "__main__":
    main()
