"""Write docs/results/asynchronous.md from the lines of all runs.

    python benchmarks/asynchronous/page.py
    python benchmarks/asynchronous/page.py --lines build/reproduce/lines.jsonl --setup small     print one table alone

Nothing but the lines is read. Of the systems with the most seeds the page takes the baseline with the best mean on
validation, and compares on test; corrections are Holm's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from headroom import grid, headroom, spread, table
from record import LINES
from words import AGAIN, CLAIM, HEADROOM, LIMITS, OURS, PLAN, SETUPS, SINGLE, SUM, Setup

from motet.significance import OverSeeds, holm, over_seeds

Line = Mapping[str, Any]
Scores = dict[str, float]


class System:
    """A variant with one seed: one run, or one run for every task.

    Args:
        lines: of its runs.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.test = _joined(lines, "test")
        self.validation = _joined(lines, "validation")

    @property
    def complete(self) -> bool:
        """Whether every run is finished and scored."""
        return all(line.get("test") for line in self.lines)

    def cost(self, what: str) -> float:
        """Of all runs together."""
        return sum(float(line.get(what, 0)) for line in self.lines)


def _joined(lines: Sequence[Line], what: str) -> Scores:
    return {task: score for line in lines for task, score in line.get(what, {}).items()}


class Contest:
    """All systems of a setup.

    Args:
        setup: its name, and what belongs to it.
        lines: those of its studies.
    """

    def __init__(self, setup: Setup, lines: Sequence[Line]) -> None:
        self.setup = setup
        self.lines = [line for line in lines if line["study"] in setup.studies]
        chosen = [line for line in self.lines if line["chosen"]]
        names = dict.fromkeys(line["variant"] for line in chosen)
        self.systems = {name: dict(_by_seed([of for of in chosen if of["variant"] == name])) for name in names}

    @property
    def baselines(self) -> list[str]:
        """What the method is compared with."""
        return [name for name in self.systems if name not in (*OURS, *self.setup.controls, SINGLE)]

    @property
    def best_baseline(self) -> str:
        """The best on validation, among those with the most seeds."""
        most = max(len(self.systems[name]) for name in self.baselines)
        known = [name for name in self.baselines if len(self.systems[name]) == most]
        return max(known, key=lambda name: mean(map(_validation, self.systems[name].values())))

    def means(self, name: str) -> dict[int, float]:
        """The mean over tasks on test, by seed."""
        return {seed: mean(system.test.values()) for seed, system in self.systems[name].items()}

    def against(self, name: str, other: str, task: str = "") -> OverSeeds:
        """A paired comparison over the seeds that both have, in points."""
        seeds = [seed for seed in self.systems[name] if seed in self.systems[other]]
        sides = ([self._score(side, seed, task) for seed in seeds] for side in (name, other))
        return over_seeds(*sides)

    def _score(self, name: str, seed: int, task: str) -> float:
        test = self.systems[name][seed].test
        return test[task] if task else mean(test.values())


def _by_seed(lines: Sequence[Line]) -> Iterator[tuple[int, System]]:
    for seed in sorted({line["seed"] for line in lines}):
        system = System([line for line in lines if line["seed"] == seed])
        if system.complete:
            yield seed, system


def _validation(system: System) -> float:
    return mean(system.validation.values())


def results(contest: Contest) -> str:
    """What every variant scored on test, and how far it is from the best baseline."""
    base, room = contest.best_baseline, _headroom(contest)
    gains = {name: contest.against(name, base) for name in contest.systems if name != base}
    sure = holm({name: gains[name].t for name in gains if name in OURS})
    rows = []
    for name, systems in contest.systems.items():
        means = list(contest.means(name).values())
        row = [name, str(len(means)), spread(means)]
        if name == base:
            row += ["the best baseline", "", "", ""]
        else:
            of = gains[name]
            share = f"{of.difference / room:+.0%}" if room > 0 else ""
            row += [_difference(of), _p(of.t), _p(sure.get(name)), share]
        costs = ("steps", "tokens", "seconds", "discarded")
        rows.append([*row, *(f"{mean(of.cost(what) for of in systems.values()):,.0f}" for what in costs)])
    head = ["variant", "seeds", "mean on test", f"less `{base}`", "p", "p, Holm", "share of headroom"]
    return grid([*head, "steps", "tokens", "s of steps", "steps thrown away"], rows)


def _headroom(contest: Contest) -> float:
    runs = [line for system in contest.systems.get(SUM, {}).values() for line in system.lines]
    return mean(headroom(line["curves"]).smoothed for line in runs) if runs else 0.0


def by_task(contest: Contest) -> str:
    """Every task of every variant on test."""
    rows = []
    for name, systems in contest.systems.items():
        rows.append([name, *(spread([of.test[task] for of in systems.values()]) for task in contest.setup.tasks)])
    return grid(["variant", *contest.setup.tasks], rows)


def differences(contest: Contest) -> str:
    """Each of ours against the best baseline and the single models, task by task, corrected over tasks."""
    rows = []
    for name in (name for name in OURS if name in contest.systems):
        for other in dict.fromkeys((contest.best_baseline, SINGLE)):
            if other not in contest.systems:
                continue
            found = {task: contest.against(name, other, task) for task in contest.setup.tasks}
            sure = holm({task: of.t for task, of in found.items()})
            cells = [f"{_difference(of)}{_p(sure[task], ' (p {})')}" for task, of in found.items()]
            rows.append([f"{name} less {other}", *cells])
    return grid(["difference", *contest.setup.tasks], rows)


def held(contest: Contest) -> str:
    """How far converged tasks are from the peak they were held at, on validation, beside the plain sum."""
    rows = []
    for name, systems in contest.systems.items():
        runs = [line for system in systems.values() for line in system.lines]
        falls = [line["peaks"][task] - line["curves"][task][-1] for line in runs for task in line.get("peaks", {})]
        if falls:
            within = sum(fall <= 0.3 for fall in falls)
            rows.append([name, str(len(falls)), spread(falls), f"{within} of {len(falls)}"])
    for line in [of for system in contest.systems.get(SUM, {}).values() for of in system.lines]:
        rows.append([f"{SUM}, seed {line['seed']}", "", f"{headroom(line['curves']).fall:.2f} (all tasks)", ""])
    return grid(["variant", "tasks held", "peak less last score", "within 0.3 points"], rows)


def runs(contest: Contest) -> str:
    """Every run that was started."""
    rows = []
    for line in contest.lines:
        switched = ", ".join(f"{task} {step:,}" for task, step in line.get("converged", {}).items())
        score = f"{mean(line['test'].values()):.2f}" if line.get("test") else line["status"]
        called = f"{line['variant']} {line['task']}".strip()
        commit = f"`{line['commit'][:7]}`"
        rows.append([called, str(line["seed"]), f"`{line['digest']}`", score, line.get("ended", ""), switched, commit])
    return grid(["variant", "seed", "settings", "mean on test", "ended", "converged at step", "commit"], rows)


def _difference(of: OverSeeds) -> str:
    return f"{of.difference:+.2f}" + ("" if of.deviation is None else f" ± {of.deviation:.2f}")


def _p(p: float | None, form: str = "{}") -> str:
    return "" if p is None else form.format("<0.001" if p < 0.001 else f"{p:.3f}")


def page(lines: Sequence[Line]) -> str:
    """The whole page."""
    parts = [CLAIM, LIMITS, PLAN, HEADROOM]
    for study in dict.fromkeys(line["study"] for line in lines if line["study"].startswith("headroom")):
        parts.append(f"### {study}\n\n{table([line for line in lines if line['study'] == study])}\n")
    for setup in SETUPS.values():
        contest = Contest(setup, lines)
        if contest.systems:
            parts += [f"## {setup.title}\n\n{setup.about}", _told(contest)]
    return "\n".join([*parts, AGAIN])


def _told(contest: Contest) -> str:
    kinds = {
        "": results,
        "By task, on test:": by_task,
        "Task by task, paired over seeds; p-values corrected over the tasks:": differences,
        "What became of converged tasks, on validation:": held,
        "Every run that was started:": runs,
    }
    return "\n".join(f"{title}\n\n{of(contest)}\n" for title, of in kinds.items())


def main() -> None:
    """Write the page, or print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=Path, default=LINES)
    parser.add_argument("--setup", choices=SETUPS, help="print what this setup has, and write nothing")
    given = parser.parse_args()
    lines = [json.loads(line) for line in given.lines.read_text(encoding="utf-8").splitlines()]
    if given.setup:
        contest = Contest(SETUPS[given.setup], lines)
        print("\n\n".join(of(contest) for of in (results, by_task, held)))
    else:
        LINES.with_suffix(".md").write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
