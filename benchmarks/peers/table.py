"""The table of the comparison with peers, made from its recorded lines alone.

    python benchmarks/peers/table.py LINES.jsonl > docs/results/peers.md

Where a file has lines of several comparisons, those of the last one are taken.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

__all__ = ["page"]

Line = dict[str, Any]
Lines = Sequence[Line]

_PRECISIONS = {"fp32": "float32", "bf16": "bfloat16"}
_HEAD = (
    "library",
    "precision",
    "real tokens/s",
    "faster",
    "real tokens/CPU s",
    "read",
    "padding",
    "validation",
    "test",
    "checks",
)
_SAME = ("given", "budget", "rate")  # in all lines of a table
_GOALS = {"box": 2.5, "fp32": 1.2, "bf16": 1.2}

_UNEQUAL = """\
The encoder, the rows, the longest row, the learning rate and the budget of real tokens are the same for all, and so is
the function that scores their answers. What is a library's own way, or that of its documentation, is left to it:

* **motet**: rows of all tasks in steps of 2,048 tokens unless the recipe or the table says otherwise, sorted by
  length; looks at validation while it trains, and holds tasks that have converged. The time of that is not in its real
  tokens a second, as none of the others looks at validation; it is told as *checks*, a share of the time of the steps.
  With large steps a budget in tokens buys few updates: the row with small steps makes as many as the Trainer.
* **transformers**: 8 rows of one task a batch, in turn, each padded to the longest of its batch; heads on the pooler.
* **sentence-transformers**: the same, round robin; tokenises whenever a row is drawn; encodes the texts of a pair by
  themselves; heads on the mean.
* **tasknet**: 8 rows of one task a batch, drawn in proportion to their rows; an embedding of the task on the first
  token; heads on the pooler.
* **LibMTL**: 32 rows of every task a step, all padded to the longest allowed; no schedule of the rate; float32 alone.
  It runs on a CPU and with this torch only with three of its parts replaced (`with_libmtl.py`).
* **torchjd**: 16 rows of every task a step, padded to the longest of a task; UPGrad; no schedule of the rate.

The real tokens of a library are those that it feeds to its encoder. The number of steps is fixed ahead, so that a
budget is met on average: rows differ in length."""


def page(lines: Lines) -> str:
    """The whole page."""
    lines = list({(line["library"], line["precision"], line["step"], line["seed"]): line for line in lines}.values())
    done = [line for line in lines if "error" not in line]
    parts = [_introduction(lines, done)]
    if done:
        parts += [_table_of(title, of) for title, of in _views(done).items() if of]
        parts += [_verdicts(done), _by_task(done)]
    parts += [*_failures(lines), "## What is not equal\n\n" + _UNEQUAL, _again(lines)]
    return "\n\n".join(parts)


def _introduction(lines: Lines, done: Lines) -> str:
    first = lines[0]
    seeds = ", ".join(map(str, _seeds(lines)))
    machine = first["machine"]
    versions = sorted({f"torch {line['versions']['torch']}" for line in done})
    data = "five tasks on the bundled docstrings" if first["data"] == "docstrings" else f"`{first['data']}`"
    return (
        "# Peers side by side\n\n"
        f"The same encoder trained by each library on {data} for {first['budget']:,} real tokens, padding left out; "
        f"rate {first['rate']:g}, seeds {seeds}.\nOne thread of {machine['processor']} ({machine['cores']} cores), "
        f"Python {machine['python']}, {', '.join(versions)}. Every library has an environment of its own.\n\n"
        "Mean over the seeds ± standard deviation. *Faster* is how many times as many real tokens a second motet "
        "reads, paired by\nseed, lowest to highest. Scores are the mean over the tasks of the metric of each, in "
        "percent. *Read* is the number of\nreal tokens, *padding* the share of padding in what the encoder is fed.\n\n"
        "Seconds run from the first row that the encoder learns from to the last update; loading and evaluation are "
        "left out."
    )


def _views(done: Lines) -> dict[str, Lines]:
    equal = {f"## {name}": [line for line in done if line["precision"] == key] for key, name in _PRECISIONS.items()}
    return {"## Out of the box": [line for line in done if line["box"]], **equal}


def _table_of(title: str, lines: Lines) -> str:
    ours = {line["seed"]: _speed(line) for line in lines if line["library"] == "motet" and line["step"] is None}
    rows = [(_name(of[0]), *_cells(of, ours)) for of in _groups(lines)]
    return f"{title}\n\n" + _markdown(_HEAD, rows)


def _groups(lines: Lines) -> list[Lines]:
    """The lines of every library and variant, motet first and the others by speed."""
    found: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        found.setdefault((line["library"], line["precision"], line["step"]), []).append(line)
    return sorted(found.values(), key=lambda of: (of[0]["library"] != "motet", -mean(map(_speed, of))))


def _name(line: Line) -> str:
    small = f", steps of {line['step']}" if line["step"] else ""
    return f"{line['library']} {line['version']}{small}"


def _cells(of: Lines, ours: dict[int, float]) -> tuple[str, ...]:
    ratios = [ours[line["seed"]] / _speed(line) for line in of if line["seed"] in ours]
    is_ours = of[0]["library"] == "motet" and of[0]["step"] is None
    return (
        _PRECISIONS[of[0]["precision"]],
        _spread(of, _speed, "{:,.0f}"),
        "" if is_ours or not ratios else _range(ratios),
        _spread(of, _by_processor, "{:,.0f}"),
        f"{mean(line['real'] for line in of):,.0f}",
        f"{100 * mean(1 - line['real'] / line['padded'] for line in of):.0f} %",
        _spread(of, lambda line: 100 * _mean_score(line, "validation"), "{:.1f}"),
        _spread(of, lambda line: 100 * _mean_score(line, "test"), "{:.1f}"),
        f"{100 * mean(line['checks'] / line['seconds'] for line in of):.0f} %",
    )


def _speed(line: Line) -> float:
    return float(line["real"] / line["seconds"])


def _by_processor(line: Line) -> float:
    return float(line["real"] / line["cpu"])


def _mean_score(line: Line, split: str) -> float:
    return float(mean(line["scores"][split].values()))


def _verdicts(done: Lines) -> str:
    """Ours against the fastest peer of every seed, for each goal."""
    views = {"box": ("as each comes out of its box", [line for line in done if line["box"]])}
    for key, name in _PRECISIONS.items():
        views[key] = (f"in {name}", [line for line in done if line["precision"] == key])
    found = [_verdict(words, of, _GOALS[key]) for key, (words, of) in views.items()]
    return "## Against the fastest peer\n\n" + "\n".join(line for line in found if line)


def _verdict(words: str, lines: Lines, goal: float) -> str:
    ours = {line["seed"]: line for line in lines if line["library"] == "motet" and line["step"] is None}
    theirs = [line for line in lines if line["library"] != "motet" and line["seed"] in ours]
    fastest = [max((line for line in theirs if line["seed"] == seed), key=_speed) for seed in _seeds(theirs)]
    if not fastest:
        return ""
    wall = [_speed(ours[line["seed"]]) / _speed(line) for line in fastest]
    cpu = [_by_processor(ours[line["seed"]]) / _by_processor(line) for line in fastest]
    names = " or ".join(sorted({line["library"] for line in fastest}))
    met = "met" if mean(wall) >= goal else "**missed**"
    return f"* {words}: {_range(wall)} times {names}, {_range(cpu)} by CPU seconds; the goal of {goal} is {met}."


def _seeds(lines: Lines) -> list[int]:
    return sorted({line["seed"] for line in lines})


def _by_task(done: Lines) -> str:
    tasks = list(done[0]["scores"]["test"])
    rows = [
        (
            f"{_name(of[0])}, {_PRECISIONS[of[0]['precision']]}",
            *(_spread(of, _task_score(task), "{:.1f}") for task in tasks),
        )
        for of in _groups(done)
    ]
    return "## Test by task\n\n" + _markdown(("library", *tasks), rows)


def _task_score(task: str) -> Callable[[Line], float]:
    return lambda line: float(100 * line["scores"]["test"][task])


def _failures(lines: Lines) -> Iterable[str]:
    failed = sorted({(line["library"], line["precision"], line["error"]) for line in lines if "error" in line})
    if failed:
        rows = [(library, _PRECISIONS[precision], f"`{error}`") for library, precision, error in failed]
        yield "## What did not run\n\n" + _markdown(("library", "precision", "why"), rows)


def _again(lines: Lines) -> str:
    seeds = " ".join(map(str, _seeds(lines)))
    layers = f" --layers {lines[0]['layers']}" if lines[0]["layers"] else ""
    recipe = "" if lines[0]["data"] == "docstrings" else f" --recipe recipes/{lines[0]['data']}.yaml --data DATA"
    return (
        "## Again\n\n"
        f"    benchmarks/peers/compare.sh build/peers{recipe}{layers} --tokens {lines[0]['budget']} --seeds {seeds}\n"
        "    python benchmarks/peers/table.py build/peers/lines.jsonl\n\n"
        "The first command makes the environments, skips finished runs and prints this page; the second makes the page "
        "from the\nrecorded lines."
    )


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _spread(of: Lines, value: Callable[[Line], float], form: str) -> str:
    values = [value(line) for line in of]
    return form.format(mean(values)) + (f" ± {form.format(stdev(values))}" if len(values) > 1 else "")


def _range(ratios: Sequence[float]) -> str:
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{mean(ratios):.2f}{spread}"


def main() -> None:
    """Print the page of a file of lines."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    if not lines:
        sys.exit(f"{sys.argv[1]} holds no line yet.")
    print(page([line for line in lines if all(line[key] == lines[-1][key] for key in _SAME)]))


if __name__ == "__main__":
    main()
