"""Runs read back: what each scored on test, what it cost, and which of them are one variant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from motet.errors import Problem, RunError, nearest
from motet.reporting.history import read
from motet.reporting.record import History
from motet.runs import RunFolder
from motet.study.ledger import Line, StudyFolder, digest, read_ledger, stage_of
from motet.study.records import OnTest, read_tested, record_file

__all__ = ["Gathered", "Result", "System", "gather", "require_baseline", "untested"]


@dataclass(frozen=True)
class Result:
    """A run.

    Args:
        run: its folder.
        line: what the ledger of a study says of it, or what its own manifest says.
    """

    run: RunFolder
    line: Line

    @property
    def counts(self) -> bool:
        """Whether it is finished, tested, and not merely a trial."""
        return bool(self.line["chosen"]) and self.line["status"] == "finished" and record_file(self.run).exists()

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What the run was begun with; empty where it never was."""
        found: Mapping[str, Any] = self.run.read_json(self.run.manifest_file) if self.run.manifest_file.exists() else {}
        return found

    @cached_property
    def history(self) -> History:
        """What happened in it."""
        return read(self.run.events())

    @cached_property
    def tested(self) -> dict[str, OnTest]:
        """Every task on test."""
        return read_tested(record_file(self.run))

    @property
    def tokens(self) -> int:
        """Real tokens that it was trained on."""
        return sum(work.tokens for work in self.history.work)


@dataclass(frozen=True)
class System:
    """What is compared: a variant with one seed; several runs where every task has a model of its own."""

    variant: str
    seed: int
    results: tuple[Result, ...]

    @cached_property
    def tested(self) -> dict[str, OnTest]:
        """Every task on test."""
        return {name: of for result in self.results for name, of in result.tested.items()}

    @property
    def cost(self) -> tuple[float, float, float]:
        """Steps, tokens and seconds, of all runs together."""
        histories = [result.history for result in self.results]
        tokens = sum(result.tokens for result in self.results)
        return sum(of.step for of in histories), tokens, sum(of.wall or 0.0 for of in histories)


@dataclass(frozen=True)
class Gathered:
    """All runs of a comparison.

    Args:
        title: how it is called.
        budget: what is the same for all runs; empty where nobody says.
        baseline: the variant that a study names.
        results: all that were started.
        settings: what tells every variant from the others.
    """

    title: str
    budget: str
    baseline: str
    results: tuple[Result, ...]
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def systems(self) -> dict[str, dict[int, System]]:
        """By variant and seed, those whose every run counts."""
        found: dict[str, dict[int, System]] = {}
        tasks: dict[str, set[str]] = {}
        for result in (result for result in self.results if result.line["chosen"]):
            tasks.setdefault(result.line["variant"], set()).add(result.line["task"])
        keys = dict.fromkeys((r.line["variant"], r.line["seed"]) for r in self.results if r.counts)
        for variant, seed in keys:
            own = [r for r in self.results if r.counts and (r.line["variant"], r.line["seed"]) == (variant, seed)]
            if {result.line["task"] for result in own} == tasks[variant]:
                found.setdefault(variant, {})[seed] = System(variant, seed, tuple(own))
        return found


def gather(paths: Sequence[str | Path]) -> Gathered:
    """Read the runs of a study folder, or single run folders.

    Raises:
        RunError: something is neither, or there is nothing to compare.
    """
    folders = [Path(path) for path in paths]
    if len(folders) == 1 and StudyFolder(folders[0]).exists():
        return _of_study(StudyFolder(folders[0]))
    problems = [
        Problem(str(path), "is a study: compare it alone" if StudyFolder(path).exists() else "is no run folder")
        for path in folders
        if not RunFolder(path).exists()
    ]
    if problems:
        raise RunError(problems)
    return _of_runs([RunFolder(path) for path in folders])


def untested(gathered: Gathered) -> list[RunFolder]:
    """The finished runs that count, but were not scored on test with every row yet."""
    return [r.run for r in gathered.results if r.line["chosen"] and stage_of(r.run) == "score"]


def _of_study(folder: StudyFolder) -> Gathered:
    told = read_ledger(folder)
    study = told["study"]
    results = [Result(folder.run(line["name"]), _believed(folder, line)) for line in told["runs"]]
    variants = {name: tuple(settings) for name, settings in study["variants"].items()}
    title = folder.path.resolve().name
    return Gathered(title, study["budget"], study["baseline"], tuple(results), variants)


def _believed(folder: StudyFolder, line: Line) -> Line:
    """A line as it is true now: a sweep that was killed could not say so, and an older study had other runs."""
    stale = line["status"] == "running" and not folder.working
    return {
        **line,
        "status": "interrupted" if stale else line["status"],
        "chosen": line["chosen"] and line["planned"],
    }


def _of_runs(runs: Sequence[RunFolder]) -> Gathered:
    lines = {run: _line_of(run) for run in dict.fromkeys(runs)}
    groups: dict[str, list[RunFolder]] = {}
    for run, line in lines.items():
        groups.setdefault(line["digest"], []).append(run)
    names = {digest: _common(of, list(lines)) for digest, of in groups.items()}
    results = [Result(run, {**line, "variant": names[line["digest"]]}) for run, line in lines.items()]
    twice = [key for key in {(r.line["variant"], r.line["seed"]) for r in results} if _count(results, key) > 1]
    if twice:
        raise RunError(f"two of the runs are of the same recipe and seed ({twice[0][0]}, seed {twice[0][1]}).")
    return Gathered(" and ".join(names.values()), "", results[0].line["variant"], tuple(results))


def _count(results: Iterable[Result], key: tuple[str, int]) -> int:
    return sum((result.line["variant"], result.line["seed"]) == key for result in results)


def _line_of(run: RunFolder) -> Line:
    manifest = run.read_json(run.manifest_file)
    experiment = manifest["experiment"]
    unseeded = {**experiment, "training": {k: v for k, v in experiment["training"].items() if k != "seed"}}
    status = "interrupted" if stage_of(run) == "train" else "finished"
    return {
        "name": run.path.name,
        "task": "",
        "seed": manifest["seed"],
        "digest": digest({"experiment": unseeded, "data": manifest["data"]}),
        "chosen": True,
        "status": status,
        "error": "",
        "commit": "",
        "planned": True,
    }


def _common(runs: Sequence[RunFolder], everything: Sequence[RunFolder]) -> str:
    """What the names of runs with the same recipe have in common; a single run is called as it is."""
    names = [run.path.resolve().name for run in runs]
    equal = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in equal).rstrip("-_. ").removesuffix("seed").rstrip("-_. ")
    taken = [run for run in everything if run not in runs and run.path.resolve().name.startswith(shared)]
    return names[0] if len(names) == 1 or not shared or taken else shared


def require_baseline(gathered: Gathered, named: str) -> str:
    """The baseline that was asked for, or the study's own.

    Raises:
        RunError: it has no finished run.
    """
    known = list(gathered.systems)
    if not known:
        raise RunError("no run is finished and scored on test yet: there is nothing to compare.")
    wanted = named or gathered.baseline
    if wanted in known:
        return wanted
    if named:
        raise RunError(f"no finished run of a variant `{named}`. {nearest(named, known)}")
    return known[0]
