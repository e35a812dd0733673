"""A first recipe from data: by the card of a data set where there is one, else by a guess at its columns.

A card is a file ``dataset.json`` in a folder of examples. It names `tasks`, each with `name`, `type`, `inputs` and
`target`, and perhaps with `metric`, `positive` and `task_per`, a column for each value of which there is a task.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from motet.data.sources import Source, read
from motet.errors import DataError, RecipeError
from motet.recipe.guess import guess
from motet.recipe.writing import to_yaml
from motet.registry import find
from motet.tasks.base import Task

__all__ = ["Draft", "draft"]

_TYPES = {
    "classification": "classification",
    "pair_classification": "classification",
    "regression": "regression",
    "pair_regression": "regression",
    "sequence_tagging": "tagging",
}
_METRICS = {"mcc": "matthews"}


@dataclass(frozen=True)
class Draft:
    """A recipe to begin with.

    Args:
        text: the recipe.
        notes: what was guessed and what was left out, in sentences.
    """

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """A task in the making."""

    name: str
    source: str
    keys: dict[str, Any]


def draft(data: Sequence[Path], folder: Path) -> Draft:
    """Write a recipe for some data.

    Args:
        data: files of examples, and folders with a file for each split.
        folder: where the recipe will lie; paths are written as seen from there.

    Raises:
        DataError: a file or folder cannot be read.
        RecipeError: nothing in them is a task that motet knows.
    """
    notes: list[str] = []
    paths = dict(zip(_distinct([_stem(path) for path in data]), data, strict=True))
    found = [task for source, path in paths.items() for task in _tasks(source, path, notes)]
    if not found:
        raise RecipeError("\n".join(["There is no task in this data that motet knows.", *notes]))
    names = _distinct([task.name if _once(task, found) else f"{task.source}-{task.name}" for task in found])
    used = {task.source for task in found}
    recipe = {
        "sources": {name: {"path": _seen_from(path, folder)} for name, path in paths.items() if name in used},
        "tasks": {name: task.keys for name, task in zip(names, found, strict=True)},
        "training": {"steps": 1000},
    }
    return Draft(to_yaml(recipe), tuple(notes))


def _tasks(source: str, path: Path, notes: list[str]) -> Iterable[_Found]:
    card = path / "dataset.json"
    if card.is_file():
        for spelled in _card_tasks(card):
            found = _of_card(source, spelled, notes)
            if found is not None:
                yield found
        return
    keys = guess(read(Source(str(path))))
    if not keys:
        notes.append(f"{path}: no column looks like the answer to a text; left out.")
        return
    columns = ", ".join(f"{key} {value}" for key, value in keys.items() if key != "type")
    notes.append(f"{path}: guessed a {keys['type']} ({columns}).")
    yield _Found(source, source, {"type": keys.pop("type"), "source": source, **keys})


def _card_tasks(card: Path) -> list[Mapping[str, Any]]:
    try:
        return list(json.loads(card.read_text(encoding="utf-8"))["tasks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{card} is no card with `tasks` ({type(error).__name__}: {error}).") from error


def _of_card(source: str, spelled: Mapping[str, Any], notes: list[str]) -> _Found | None:
    name, of_type = str(spelled.get("name", source)), str(spelled.get("type"))
    inputs, target = spelled.get("inputs", []), spelled.get("target")
    kind = _TYPES.get(of_type)
    if kind is None or not target or len(inputs) not in (1, 2) or (kind == "tagging" and len(inputs) != 1):
        notes.append(f"{source}: `{name}` ({of_type}) is left out; motet has no such task yet.")
        return None
    text = inputs[0] if len(inputs) == 1 else list(inputs)
    columns = {
        "classification": {"text": text, "label": target},
        "regression": {"text": text, "value": target},
        "tagging": {"tokens": text, "labels": target},
    }
    keys: dict[str, Any] = {"type": kind, "source": source, **columns[kind]}
    metric = _METRICS.get(spelled.get("metric", ""), spelled.get("metric", ""))
    if metric in cast("type[Task]", find("task", kind)).metrics:
        keys["metric"] = metric
    elif metric:
        notes.append(f"{source}: `{name}` is scored by {metric} elsewhere, which motet does not have.")
    if "positive" in spelled and kind == "classification":
        keys["positive"] = spelled["positive"]
    if "task_per" in spelled:
        keys["per"] = spelled["task_per"]
    return _Found(name, source, keys)


def _stem(path: Path) -> str:
    return path.resolve().name.partition(".")[0]


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each with a number where it comes again."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _once(task: _Found, found: Sequence[_Found]) -> bool:
    return sum(other.name == task.name for other in found) == 1


def _seen_from(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
