"""The whole of a recipe: sources, tasks that name them, and one part for every other section."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet.data.per_value import per_value
from motet.data.sources import Source, as_source
from motet.errors import DataError, Problem, RecipeError, nearest
from motet.recipe.document import Document
from motet.recipe.parts import SECTIONS
from motet.recipe.reading import Reader
from motet.recipe.strangers import stranger
from motet.recipe.values import kind_of
from motet.tasks.base import Task
from motet.training.experiment import Experiment

__all__ = ["Recipe", "interpret"]


@dataclass(frozen=True)
class Recipe:
    """A recipe as it is written, before a task `per` value becomes several.

    Args:
        sources: those that have a name.
        tasks: by name.
        per: for some tasks a column; there will be a task for every value of it.
        sections: the other parts that the recipe names.
    """

    sources: dict[str, Source]
    tasks: dict[str, Task]
    per: dict[str, str]
    sections: dict[str, Any]

    @property
    def paths(self) -> set[str]:
        """What the sources of the tasks are called: paths, or names on the hub."""
        return {as_source(task.source).text for task in self.tasks.values()}

    def experiment(self, folder: Path | None) -> Experiment:
        """The experiment that it spells.

        Args:
            folder: where relative paths of sources are looked up, besides the working directory.

        Raises:
            RecipeError: the parts do not fit each other, or the values of a column cannot be read.
        """
        tasks: list[Task] = []
        problems: list[Problem] = []
        for name, task in self.tasks.items():
            try:
                tasks += per_value(task, self.per[name], folder) if name in self.per else [task]
            except DataError as error:
                problems.append(Problem(f"tasks.{name}.per", f"cannot be read: {error}", self.per[name]))
        if problems:
            raise RecipeError(problems)
        return Experiment(tasks=tuple(tasks), **self.sections)


def interpret(document: Document, folder_of: Callable[[Recipe], Path | None]) -> tuple[Recipe, Experiment]:
    """What a document says, and the experiment that this means.

    Args:
        document: the text as plain data.
        folder_of: where relative paths of sources are looked up, besides the working directory.

    Raises:
        RecipeError: everything that is wrong, in the order of the lines.
    """
    if not document.data:
        raise RecipeError([Problem("the file", "is empty", remedy="`motet init DATA` writes a recipe.")])
    if not isinstance(document.data, dict):
        rule = f"must be a mapping with the keys {', '.join(SECTIONS)}, found {kind_of(document.data)}"
        raise RecipeError([Problem("the file", rule)])
    reader = Reader()
    reader.problems += document.problems
    recipe = _read(document.data, reader)
    experiment = None
    if recipe.tasks and not any(problem.name.startswith(("tasks", "sources")) for problem in reader.problems):
        try:
            experiment = recipe.experiment(folder_of(recipe))
        except RecipeError as error:
            reader.problems += error.problems
    if experiment is None or reader.problems:
        raise RecipeError(document.located(reader.problems))
    return recipe, experiment


def _read(data: Mapping[str, Any], reader: Reader) -> Recipe:
    reader.problems += [stranger(key, "", SECTIONS) for key in data if key not in SECTIONS]
    named = _entries(data, "sources", reader) if "sources" in data else {}
    read = {name: reader.plain(Source, spelled, f"sources.{name}") for name, spelled in named.items()}
    sources = {name: source for name, source in read.items() if source is not None}
    tasks = {}
    per = {}
    for name, spelled in _entries(data, "tasks", reader).items():
        tasks[name] = _task(name, spelled, named, sources, reader)
        if isinstance(spelled, Mapping) and "per" in spelled:
            per[name] = reader.typed(str, spelled["per"], f"tasks.{name}.per")
    sections = {
        key: reader.value(Experiment, key, value, key)
        for key, value in data.items()
        if key in SECTIONS and key not in ("sources", "tasks")
    }
    return Recipe(
        sources,
        {name: task for name, task in tasks.items() if task is not None},
        {name: column for name, column in per.items() if column is not None},
        {key: part for key, part in sections.items() if part is not None},
    )


def _entries(data: Mapping[str, Any], key: str, reader: Reader) -> Mapping[str, Any]:
    found = data.get(key)
    if isinstance(found, Mapping) and found:
        return found
    if key not in data:
        reader.wrong(key, "is missing: a recipe needs at least one task")
    elif found:
        reader.wrong(key, f"must be a mapping from names to {key}, found {kind_of(found)}")
    else:
        reader.wrong(key, "is empty", remedy="Leave it out." if key == "sources" else "Name at least one task.")
    return {}


def _task(
    name: str, spelled: Any, named: Mapping[str, Any], sources: Mapping[str, Source], reader: Reader
) -> Task | None:
    place = f"tasks.{name}"
    if not isinstance(spelled, Mapping):
        reader.wrong(place, "must be a mapping with `type`, `source` and columns", spelled)
        return None
    keys = {key: value for key, value in spelled.items() if key not in ("source", "per")}
    fixed: dict[str, Any] = {"name": name}
    if "source" in spelled:
        fixed["source"] = _source(spelled["source"], place, named, sources, reader)
    task: Task | None = reader.part("task", keys, place, fixed=fixed)
    return task


def _source(spelled: Any, place: str, named: Mapping[str, Any], sources: Mapping[str, Source], reader: Reader) -> Any:
    """The source of a task: one that has a name, else a path, else one spelt out on the spot."""
    if not isinstance(spelled, str):
        return reader.plain(Source, spelled, f"{place}.source") or Source("nowhere")
    if spelled in named:
        return sources.get(spelled) or Source("nowhere")
    if difflib.get_close_matches(spelled, named, n=1) and not Path(spelled).exists():
        reader.wrong(f"{place}.source", "is neither in `sources` nor a file here", spelled, nearest(spelled, named))
    return spelled
