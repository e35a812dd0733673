"""Which runs a study asks for, each with the settings, the seed and the content that tell it from all others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from motet.errors import Problem, RecipeError
from motet.recipe.loading import load
from motet.study.definition import ALONE, Settings, Study, folder_name
from motet.study.ledger import digest
from motet.training.experiment import Experiment

__all__ = ["Entry", "Unit", "plan_study"]


@dataclass(frozen=True)
class Entry:
    """A run that is to be.

    Args:
        name: of its folder: the variant, the seed, and a part of the digest.
        variant: what it is a run of.
        task: the only task, where every task has a model of its own.
        seed: of everything random.
        settings: in place of those of the base recipe.
        digest: of the whole resolved recipe.
    """

    name: str
    variant: str
    task: str
    seed: int
    settings: Settings
    digest: str

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "settings": list(self.settings)}


@dataclass(frozen=True)
class Unit:
    """What is searched and then trained with all seeds: a variant, or one task of those that are alone.

    Args:
        variant: its name.
        task: the task; empty where all are trained together.
        candidates: for each combination of the search, an entry for every seed.
    """

    variant: str
    task: str
    candidates: tuple[tuple[Entry, ...], ...]

    @property
    def trials(self) -> tuple[Entry, ...]:
        """The runs among which validation chooses: of one seed; none where there is nothing to choose."""
        return tuple(entries[0] for entries in self.candidates) if len(self.candidates) > 1 else ()


def plan_study(study: Study) -> list[Unit]:
    """All units of a study, every recipe read and checked.

    Raises:
        RecipeError: a recipe of it cannot be read; every problem of every variant.
    """
    base = load(study.base).experiment
    problems: list[Problem] = []
    units = [_unit(study, name, "", (*_spending(study), *of), problems) for name, of in study.variants.items()]
    if study.single_task:
        share = _spending(study, len(base.tasks))
        alone = {task.name: (*_alone(base, task.name), *share, *study.alone) for task in base.tasks}
        units += [_unit(study, ALONE, task, settings, problems) for task, settings in alone.items()]
    if problems:
        raise RecipeError(study.document.located(dict.fromkeys(problems)), heading=study.path.name)
    return units


_ENDS = {"steps": "training.steps", "tokens": "training.max_tokens", "seconds": "training.max_seconds"}


def _spending(study: Study, runs: int = 1) -> Settings:
    """What ends every run at the budget, or at its share of one that several runs have together."""
    if study.amount is None:
        return ()
    share = study.amount / runs
    return (f"{_ENDS[study.budget]}={share if study.budget == 'seconds' else max(1, round(share))}",)


def _unit(study: Study, variant: str, task: str, settings: Settings, problems: list[Problem]) -> Unit:
    candidates = []
    for found in study.search:
        try:
            candidates.append(tuple(_entries(study, variant, task, (*settings, *found))))
        except RecipeError as error:
            problems += _placed(study, variant, found, error)
    return Unit(variant, task, tuple(candidates))


def _entries(study: Study, variant: str, task: str, settings: Settings) -> Iterator[Entry]:
    experiment = load(study.base, settings).experiment
    stem = folder_name(variant) + (f"-{folder_name(task)}" if task else "")
    for seed in study.seeds:
        content = digest(_seeded(experiment, seed).describe())
        name = f"{stem}-seed{seed}-{content[:8]}"
        yield Entry(name, variant, task, seed, (*settings, f"training.seed={seed}"), content)


def _seeded(experiment: Experiment, seed: int) -> Experiment:
    return replace(experiment, training=replace(experiment.training, seed=seed))


def _alone(base: Experiment, task: str) -> Settings:
    """What leaves one task of a recipe, and nothing that speaks of others."""
    told = base.describe()
    rules = told["convergence"].get("tasks", {})
    settings = {"tasks": {task: told["tasks"][task]}, "schedule": "joint", "balance": "sum"}
    if base.teachers:
        settings["teachers"] = []
    if rules:
        settings["convergence"] = {
            **told["convergence"],
            "tasks": {name: of for name, of in rules.items() if name == task},
        }
    return tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())


def _placed(study: Study, variant: str, found: Settings, error: RecipeError) -> Iterator[Problem]:
    """The problems of a recipe where the study file has their cause: the base alone has none."""
    searched = [setting.partition("=")[0] for setting in found]
    named = {name: f"variants.{name}" for name in study.document.data.get("variants") or {}}
    own = "single_task" if variant == ALONE else named.get(variant, "grid")
    for problem in error.problems or (Problem("", str(error)),):
        of_search = any(problem.name.startswith(key) for key in searched)
        yield replace(problem.under("search" if of_search else own), line=None)
