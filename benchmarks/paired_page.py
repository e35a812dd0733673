"""The page of a study, made from its recorded lines alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

__all__ = ["STUDIES", "page"]


class Study(NamedTuple):
    """What is compared.

    Args:
        title: of the page.
        recipe: from the root of the repository.
        about: what the page says of it before anything else.
    """

    title: str
    recipe: str
    about: str


_SHAPES = """\
A number, a choice about a pair, a tag for every word, an order of candidates and a span of a passage, about the text
of products. The rows and steps are few, so that all five can begin to learn and converge within half an hour on one
core: the figures show that every shape is held, not how well the tasks can be solved.

Rows, shares and steps were chosen on seed 0, by validation: that each task beats a constant answer and converges. Two
settings were tried before, with one run of each variant; their lines are in `answer-shapes-pilots.jsonl`. With 900
questions and 1,800 steps of falling rate, tagging was still at its best at the end (test 58.38 against 60.05 without
convergence: `match` was held at an F1 of 0.43 on validation, and reached 0.58 without). With 900 questions and 2,400
steps of constant rate, spans never beat a constant answer (52.23 against 52.49).

"""

STUDIES = {
    "foundation": Study("Foundation study: five similar tasks", "recipes/similar.yaml", ""),
    "answer-shapes": Study(
        "Answer shapes: five diverse tasks",
        "benchmarks/answer_shapes.yaml",
        _SHAPES,
    ),
}

_TITLES = {
    "shipped": "`convergence` as in the recipe",
    "none": "`convergence: none`",
}
_COLUMNS = ("peak", "final", "drop", "test")
Line = Mapping[str, Any]


def page(study: str, lines: Sequence[Line]) -> str:
    """The whole page."""
    parts = [
        _introduction(STUDIES[study], lines),
        _summary(lines),
        *_comparison(lines),
        _tables(lines),
        _runs(lines),
        _switches(lines),
    ]
    return "\n\n".join([*parts, _again(study)]) + "\n"


def _variants(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines of every variant, the shipped one first."""
    found = {name: [line for line in lines if line["variant"] == name] for name in _TITLES}
    return {name: of for name, of in found.items() if of}


def _introduction(study: Study, lines: Sequence[Line]) -> str:
    seeds = sorted({line["seed"] for line in lines})
    machines = sorted({_machine(line) for line in lines})
    versions = sorted({f"motet {of['motet']}, torch {of['torch']}" for of in (line["versions"] for line in lines)})
    mixed = [name for name, of in _variants(lines).items() if len({line["settings"] for line in of}) > 1]
    warning = "".join(f" **The runs of {_TITLES[name]} differ in their settings.**" for name in mixed)
    return (
        f"# {study.title}\n\n{study.about}"
        f"The recipe `{study.recipe}` as it stands, and the same without convergence, which is plain joint "
        "training.\nBoth have the same budget of physical steps, the same data and seeds.\n\n"
        f"Seeds {', '.join(map(str, seeds))}; {'; '.join(versions)}; {'; '.join(machines)}.{warning}\n\n"
        "All scores are in percent of the metric named in the tables. *Peak* is the highest validation score at any "
        "check of\na run, *final* that of the model it ends with, *drop* what lies between. A peak is chosen among "
        "noisy checks and so too\nhigh: a drop is above nothing even where nothing was lost. Test was read once for "
        "each run, after its end."
    )


def _machine(line: Line) -> str:
    machine = line["machine"]
    return f"{machine['device']}, {machine['precision']}, {machine['threads']} threads"


def _summary(lines: Sequence[Line]) -> str:
    rows = [
        [_TITLES[name], *(_spread([line["mean"][column] for line in of]) for column in _COLUMNS), str(len(of))]
        for name, of in _variants(lines).items()
    ]
    return "## Mean over the tasks\n\n" + _table(["variant", *_COLUMNS, "runs"], rows)


def _comparison(lines: Sequence[Line]) -> Iterable[str]:
    """Shipped minus none on equal seeds, in numbers and in a sentence that follows from them."""
    by_seed = {name: {line["seed"]: line for line in of} for name, of in _variants(lines).items()}
    if len(by_seed) < 2:
        return
    shipped, none = by_seed["shipped"], by_seed["none"]
    shared = sorted(set(shipped) & set(none))
    if not shared:
        return
    rows = []
    for task in shipped[shared[0]]["tasks"]:
        changes = [
            [shipped[seed]["tasks"][task][key] - none[seed]["tasks"][task][key] for seed in shared] for key in _COLUMNS
        ]
        rows.append([task, *map(_signed, changes)])
    means = {key: [shipped[seed]["mean"][key] - none[seed]["mean"][key] for seed in shared] for key in _COLUMNS}
    rows.append(["**mean**", *(_signed(means[key]) for key in _COLUMNS)])
    yield "## Shipped minus none, paired by seed\n\n" + _table(["task", *_COLUMNS], rows) + "\n\n" + _verdict(means)


def _verdict(means: Mapping[str, Sequence[float]]) -> str:
    test, drop = means["test"], means["drop"]
    if not any(test):
        return "On test the two are exactly equal."
    better = sum(change > 0 for change in test)
    sure = len(test) > 1 and abs(mean(test)) > 2 * stdev(test) / len(test) ** 0.5
    points = f"{100 * abs(mean(test)):.2f} points {'above' if mean(test) > 0 else 'below'}"
    clear = "" if sure else " That is within two standard errors over the seeds: no difference can be claimed."
    held = "smaller" if mean(drop) < 0 else "larger"
    return (
        f"On test the shipped recipe is {points} joint training on the mean "
        f"over the tasks, and better in\n{better} of {len(test)} seeds.{clear}\nThe drop from the peak on validation "
        f"is {100 * abs(mean(drop)):.2f} points {held}."
    )


def _tables(lines: Sequence[Line]) -> str:
    parts = ["## By task"]
    for name, of in _variants(lines).items():
        rows = []
        for task, scores in of[0]["tasks"].items():
            cells = [_spread([line["tasks"][task][column] for line in of]) for column in _COLUMNS]
            rows.append([task, scores["metric"], *cells])
        parts.append(f"### {_TITLES[name]}\n\n" + _table(["task", "metric", *_COLUMNS], rows))
    return "\n\n".join(parts) + "\n\nMean over the seeds ± standard deviation."


def _runs(lines: Sequence[Line]) -> str:
    rows = [_run(line) for of in _variants(lines).values() for line in of]
    tasks = list(lines[0]["tasks"])
    head = ["variant", "seed", "settings", *(f"test {task}" for task in tasks), "test mean", "steps", "ended", "s"]
    return "## Every run\n\n" + _table(head, rows)


def _run(line: Line) -> list[str]:
    tests = [_percent(scores["test"]) for scores in line["tasks"].values()]
    steps = f"{line['steps']['physical']:,} ({line['steps']['logical']:,} kept)"
    ending = [_percent(line["mean"]["test"]), steps, line["reason"], f"{line['seconds']:,.0f}"]
    return [line["variant"], str(line["seed"]), f"`{line['settings']}`", *tests, *ending]


def _switches(lines: Sequence[Line]) -> str:
    rows = [
        [line["variant"], str(line["seed"]), of["task"], f"{of['step']:,}", f"{of['best_step']:,}", _epochs(of)]
        for line in lines
        for of in line["switches"]
    ]
    if not rows:
        return "## When tasks converged\n\nNo task was called converged in any run."
    return "## When tasks converged\n\n" + _table(["variant", "seed", "task", "step", "peak at step", "epochs"], rows)


def _epochs(switch: Mapping[str, Any]) -> str:
    return f"{switch['own_epochs']:.2f}"


def _again(study: str) -> str:
    return (
        "## Again\n\n"
        f"    python benchmarks/paired.py {study} --data FOLDER --seeds 0 1 2\n"
        f"    python benchmarks/paired.py {study} --page\n\n"
        "The first command skips finished runs and resumes interrupted ones; the second makes this page from "
        f"`{study}.jsonl`."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _spread(values: Sequence[float]) -> str:
    return _percent(mean(values)) + (f" ± {_percent(stdev(values))}" if len(values) > 1 else "")


def _signed(values: Sequence[float]) -> str:
    return f"{100 * mean(values):+.2f}" + (f" ± {_percent(stdev(values))}" if len(values) > 1 else "")
