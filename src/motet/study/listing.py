"""What a study shows beside its statistics: every run that was started, the curves, and the test rows that get lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from motet.reporting.study_view import Curve, Lost, RunLine, Task
from motet.runs import RunFolder
from motet.study.contest import Contest
from motet.study.processes import gist
from motet.study.records import read_tested, record_file
from motet.study.results import Gathered, Result, System

__all__ = ["curves", "lost_rows", "run_lines"]

_MOST = 10  # rows that are shown
_POINTS = 200  # of a curve


def run_lines(gathered: Gathered) -> Iterator[RunLine]:
    """Every run, those of an older study and those that failed included."""
    for result in gathered.results:
        line = result.line
        yield RunLine(
            name=line["name"],
            variant=line["variant"],
            task=line["task"],
            seed=line["seed"],
            status=line["status"],
            part=_part(result),
            digest=line["digest"],
            version=result.manifest.get("packages", {}).get("motet", ""),
            commit=line["commit"],
            steps=result.history.step,
            seconds=result.history.wall or 0.0,
            error=gist(line["error"]),
        )


def _part(result: Result) -> str:
    if not result.line["planned"]:
        return "of an older study"
    if not result.line["chosen"]:
        return "trial"
    return "compared" if result.counts else "missing"


def curves(contest: Contest) -> Iterator[Curve]:
    """The validation scores of every run that is compared."""
    for of in contest.systems.values():
        for system in of.values():
            for task in contest.tasks:
                yield _curve(system, task)


def _curve(system: System, task: Task) -> Curve:
    histories = [result.history for result in system.results if task.name in result.history.tasks]
    checks = [check for of in histories for check in of.tasks[task.name].checks if check.mean is not None]
    kept = checks[:: max(1, -(-len(checks) // _POINTS))]
    if checks and kept[-1] is not checks[-1]:
        kept.append(checks[-1])
    return Curve(task.name, system.variant, system.seed, tuple((c.step, c.mean) for c in kept if c.mean is not None))


def lost_rows(contest: Contest) -> list[Lost]:
    """The test rows whose true answer the baseline gives and a variant does not, in most of the seeds."""
    found: list[Lost] = []
    for variant in contest.rivals:
        seeds = contest.shared(variant)
        sides = [{seed: _texts(contest.systems[name][seed]) for seed in seeds} for name in (variant, contest.base)]
        for task in contest.tasks:
            found += _lost(task.name, variant, seeds, *sides)
    found.sort(key=lambda row: -row.seeds[0] / row.seeds[1])
    return found[:_MOST]


_Texts = Mapping[str, Sequence[Mapping[str, str]]]


def _texts(system: System) -> _Texts:
    every = [read_tested(record_file(RunFolder(result.run.path)), texts=True) for result in system.results]
    return {name: tested.texts for of in every for name, tested in of.items()}


def _lost(
    task: str, variant: str, seeds: Sequence[int], ours: Mapping[int, _Texts], theirs: Mapping[int, _Texts]
) -> Iterator[Lost]:
    """The rows of one task that one variant loses, those of most seeds first."""
    times: Counter[int] = Counter()
    first: dict[int, int] = {}
    for seed in seeds:
        for at, (one, other) in enumerate(zip(ours[seed][task], theirs[seed][task], strict=True)):
            if one["truth"] and other["answer"] == other["truth"] != one["answer"]:
                times[at] += 1
                first.setdefault(at, seed)
    for at, count in times.most_common(_MOST):
        one, other = ours[first[at]][task][at], theirs[first[at]][task][at]
        answers = (other["answer"], one["answer"])
        yield Lost(task, variant, one["id"], one["input"], one["truth"], answers, (count, len(seeds)))
