"""A study file: what is compared with what, read strictly, with everything that is wrong told at once.

base: recipe.yaml
variants:
  sum: {}
  uncertainty: {balance: uncertainty}
seeds: [0, 1, 2]
search: {training.learning_rate: [1.0e-4, 3.0e-4]}
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from motet.errors import Problem, RecipeError, nearest
from motet.recipe.document import Document
from motet.recipe.parsing import read_document

__all__ = ["ALONE", "KEYS", "Budget", "Settings", "Study", "folder_name", "read_study"]

Budget = Literal["steps", "tokens", "seconds"]
Settings = tuple[str, ...]

ALONE = "single"  # the variant in which every task has a model of its own
KEYS = ("base", "variants", "grid", "seeds", "budget", "baseline", "search", "single_task")


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Args:
        path: the file.
        base: the recipe that all runs begin with.
        variants: by name, the settings that each puts in place of those of the recipe, like ``balance="sum"``.
        seeds: of every variant.
        budget: what is the same for all of them.
        amount: of it, at which every run ends; None where the recipes say when they end.
        baseline: the variant that the others are compared with.
        search: settings of which every variant tries all combinations, on validation.
        single_task: whether there is a model for every task alone, too.
        alone: the settings of these, in place of those of the recipe.
        document: the text, which knows its lines.
    """

    path: Path
    base: Path
    variants: Mapping[str, Settings]
    seeds: tuple[int, ...] = (0, 1, 2)
    budget: Budget = "steps"
    amount: float | None = None
    baseline: str = ""
    search: tuple[Settings, ...] = ((),)
    single_task: bool = False
    alone: Settings = ()
    document: Document = field(default_factory=lambda: Document({}))


def read_study(path: str | Path) -> Study:
    """Read a study file.

    Raises:
        RecipeError: everything that is wrong with it, each with its line.
    """
    file = Path(path)
    document = read_document(file)
    if not isinstance(document.data, dict):
        raise RecipeError(Problem("the file", f"must be a mapping with the keys {', '.join(KEYS)}"), heading=file.name)
    problems = [*document.problems, *_problems(document.data, file)]
    if problems:
        raise RecipeError(document.located(problems), heading=file.name)
    data = document.data
    budget, amount = _budget(data.get("budget", "steps"))
    variants = _grid(data["grid"]) if data.get("grid") else _variants(data.get("variants") or {})
    return Study(
        path=file,
        base=_base(file, data["base"]),
        variants=variants,
        seeds=tuple(data.get("seeds", (0, 1, 2))),
        budget=budget,
        amount=amount,
        baseline=data.get("baseline") or next(iter(variants), ALONE),
        search=tuple(_products(data.get("search") or {})),
        single_task=_adds_single(data),
        alone=_settings(single) if isinstance(single := data.get("single_task"), dict) else (),
        document=document,
    )


def folder_name(name: str) -> str:
    """A name as part of the name of a folder.

    Example:
        >>> folder_name("learning_rate=0.0001, balance=sum")
        'learning_rate=0.0001-balance=sum'
    """
    return re.sub(r"[^\w.=+-]+", "-", name).strip("-.") or "variant"


def _base(file: Path, named: str) -> Path:
    """The recipe: seen from the study file, or from the working directory."""
    beside = file.parent / named
    return beside if beside.exists() or not Path(named).exists() else Path(named)


def _setting(key: str, value: Any) -> str:
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def _budget(spelled: Any) -> tuple[Any, Any]:
    """What is the same for all runs, and how much of it, where a study says so."""
    if isinstance(spelled, dict) and len(spelled) == 1:
        return next(iter(spelled.items()))
    return spelled, None


def _settings(spelled: Mapping[str, Any]) -> Settings:
    return tuple(_setting(key, value) for key, value in spelled.items())


def _variants(spelled: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Settings]:
    return {name: _settings(of or {}) for name, of in spelled.items()}


def _adds_single(data: Mapping[str, Any]) -> bool:
    """Whether a study asks for models of single tasks, as they stand or with settings of theirs."""
    single = data.get("single_task", False)
    return single is True or isinstance(single, dict)


def _products(lists: Mapping[str, list[Any]]) -> Iterator[Settings]:
    for values in itertools.product(*lists.values()):
        yield tuple(_setting(key, value) for key, value in zip(lists, values, strict=True))


def _grid(lists: Mapping[str, list[Any]]) -> dict[str, Settings]:
    """A variant for every combination, called by the last words of its keys."""
    short = {key: key.rpartition(".")[2] for key in lists}
    plain = short if len(set(short.values())) == len(short) else {key: key for key in lists}
    found = {}
    for values in itertools.product(*lists.values()):
        named = ", ".join(f"{plain[key]}={_word(value)}" for key, value in zip(lists, values, strict=True))
        found[named] = tuple(_setting(key, value) for key, value in zip(lists, values, strict=True))
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _problems(data: Mapping[str, Any], file: Path) -> Iterator[Problem]:
    for key in data:
        if key not in KEYS:
            yield Problem(key, "unknown key", remedy=nearest(key, KEYS))
    yield from _base_problems(data, file)
    yield from _variant_problems(data)
    yield from _seed_problems(data.get("seeds", [0]))
    for key in ("grid", "search"):
        yield from _list_problems(key, data.get(key))
    yield from _budget_problems(data.get("budget", "steps"))
    single = data.get("single_task", False)
    if not isinstance(single, (bool, dict)):
        yield Problem("single_task", "must be true, false, or a mapping from keys of the recipe to values", str(single))
    elif isinstance(single, dict) and "training.seed" in single:
        yield Problem("single_task.training.seed", "is given by `seeds`")


def _budget_problems(spelled: Any) -> Iterator[Problem]:
    budget, amount = _budget(spelled)
    known = ", ".join(get_args(Budget))
    if not isinstance(budget, str) or budget not in get_args(Budget):
        yield Problem("budget", f"must be one of {known}, or one of them with an amount", str(spelled))
    elif amount is not None and (isinstance(amount, bool) or not isinstance(amount, (int, float)) or not amount > 0):
        yield Problem(f"budget.{budget}", "must be a positive number", str(amount))


def _base_problems(data: Mapping[str, Any], file: Path) -> Iterator[Problem]:
    base = data.get("base")
    if not isinstance(base, str):
        yield Problem("base", "must name a recipe" if "base" in data else "is missing: name a recipe")
    elif not _base(file, base).is_file():
        there = [entry.name for entry in file.parent.glob("*.y*ml") if entry != file]
        yield Problem("base", "is not there", base, nearest(base, there, "`motet init DATA` writes a recipe."))


def _variant_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    variants, grid = data.get("variants"), data.get("grid")
    if variants and grid:
        yield Problem("grid", "cannot stand beside `variants`", remedy="Keep one of the two.")
    if not variants and not grid and not _adds_single(data):
        yield Problem("variants", "is missing: name what is compared, or give a `grid`")
    if variants is not None and not isinstance(variants, dict):
        yield Problem("variants", "must be a mapping from names to settings")
        return
    for name, settings in (variants or {}).items():
        if settings is not None and not isinstance(settings, dict):
            yield Problem(f"variants.{name}", "must be a mapping from keys of the recipe to values", str(settings))
        elif "training.seed" in (settings or {}):
            yield Problem(f"variants.{name}.training.seed", "is given by `seeds`")
    yield from _name_problems(data, list(variants or {}))


def _name_problems(data: Mapping[str, Any], named: list[str]) -> Iterator[Problem]:
    if ALONE in named:
        yield Problem(f"variants.{ALONE}", "is the name of what `single_task` adds", remedy="Choose another.")
    folders = [folder_name(name) for name in named]
    for name, folder in zip(named, folders, strict=True):
        if folders.count(folder) > 1:
            yield Problem(f"variants.{name}", "cannot be told from another by the name of its folder")
    baseline, known = data.get("baseline"), [*named, *([ALONE] if _adds_single(data) else [])]
    if isinstance(data.get("grid"), dict) and not list(_list_problems("grid", data["grid"])):
        known = [*known, *_grid(data["grid"])]
    if baseline is not None and baseline not in known:
        yield Problem("baseline", "is none of the variants", str(baseline), nearest(str(baseline), known))


def _seed_problems(seeds: Any) -> Iterator[Problem]:
    whole = isinstance(seeds, list) and seeds and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole:
        yield Problem("seeds", "must be a list of whole numbers of at least 0", str(seeds))
    elif len(set(seeds)) < len(seeds):
        yield Problem("seeds", "holds a seed twice", str(seeds))


def _list_problems(key: str, lists: Any) -> Iterator[Problem]:
    if lists is not None and not isinstance(lists, dict):
        yield Problem(key, "must be a mapping from keys of the recipe to lists of values", str(lists))
        return
    for name, values in (lists or {}).items():
        if not isinstance(values, list) or not values:
            yield Problem(f"{key}.{name}", "must be a list of at least one value", str(values))
        elif name == "training.seed":
            yield Problem(f"{key}.{name}", "is given by `seeds`")
