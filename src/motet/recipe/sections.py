"""The whole of a recipe: sources, tasks that name them, and one part for every other section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet.data.per_value import per_value
from motet.data.sources import Source, as_source
from motet.errors import DataError, Problem, RecipeError
from motet.recipe.document import Document
from motet.recipe.parts import SECTIONS
from motet.recipe.reading import Reader
from motet.recipe.strangers import stranger
from motet.recipe.values import did_you_mean, kind_of, shown
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
    sections = _Sections(document.data, reader)
    recipe = sections.recipe()
    folder = folder_of(recipe)
    reader.problems += sections.misspelt(folder)
    experiment = None
    if recipe.tasks and not any(problem.name.startswith(("tasks", "sources")) for problem in reader.problems):
        try:
            experiment = recipe.experiment(folder)
        except RecipeError as error:
            reader.problems += error.problems
    if experiment is None or reader.problems:
        raise RecipeError(document.located(reader.problems))
    return recipe, experiment


class _Sections:
    """Reads the sections one by one.

    Args:
        data: all of them.
        reader: makes parts and collects what is wrong.
    """

    def __init__(self, data: Mapping[str, Any], reader: Reader) -> None:
        self._data = data
        self._reader = reader
        self._named = self._entries("sources") if "sources" in data else {}
        read = {name: reader.plain(Source, spelled, f"sources.{name}") for name, spelled in self._named.items()}
        self._sources = {name: source for name, source in read.items() if source is not None}
        self._tasks = self._entries("tasks")

    def recipe(self) -> Recipe:
        """All that can be read."""
        self._reader.problems += [stranger(key, "", SECTIONS) for key in self._data if key not in SECTIONS]
        tasks = {name: self._task(name, spelled) for name, spelled in self._tasks.items()}
        sections = {
            key: self._reader.value(Experiment, key, value, key)
            for key, value in self._data.items()
            if key in SECTIONS and key not in ("sources", "tasks")
        }
        return Recipe(
            self._sources,
            {name: task for name, task in tasks.items() if task is not None},
            dict(self._columns()),
            {key: part for key, part in sections.items() if part is not None},
        )

    def misspelt(self, folder: Path | None) -> Iterator[Problem]:
        """Sources of tasks that are almost called like one with a name, and are nothing else that is here."""
        for name, spelled in self._tasks.items():
            word = spelled.get("source") if isinstance(spelled, Mapping) else None
            if not isinstance(word, str) or word in self._named:
                continue
            remedy = did_you_mean(word, [*self._named])
            if remedy and not Path(word).exists() and not (folder or Path()).joinpath(word).exists():
                yield Problem(f"tasks.{name}.source", "is neither in `sources` nor a file here", shown(word), remedy)

    def _entries(self, key: str) -> Mapping[str, Any]:
        found = self._data.get(key)
        if isinstance(found, Mapping) and found:
            return found
        if key not in self._data:
            self._reader.wrong(key, "is missing: a recipe needs at least one task")
        elif found:
            self._reader.wrong(key, f"must be a mapping from names to {key}, found {kind_of(found)}")
        else:
            self._reader.wrong(
                key, "is empty", remedy="Leave it out." if key == "sources" else "Name at least one task."
            )
        return {}

    def _task(self, name: str, spelled: Any) -> Task | None:
        place = f"tasks.{name}"
        if not isinstance(spelled, Mapping):
            self._reader.wrong(place, "must be a mapping with `type`, `source` and columns", spelled)
            return None
        keys = {key: value for key, value in spelled.items() if key not in ("source", "per")}
        fixed = {"name": name}
        if "source" in spelled:
            fixed["source"] = self._source(spelled["source"], f"{place}.source")
        task: Task | None = self._reader.part("task", keys, place, fixed=fixed)
        return task

    def _source(self, spelled: Any, place: str) -> Any:
        """The source of a task: one that has a name, else a path, else one spelt out on the spot."""
        if isinstance(spelled, str) and spelled not in self._named:
            return spelled
        source = self._sources.get(spelled) if isinstance(spelled, str) else self._reader.plain(Source, spelled, place)
        return source or Source("nowhere")  # what is wrong is told, and the rest of the task can be looked at

    def _columns(self) -> Iterator[tuple[str, str]]:
        """The tasks that are to be made for each value of a column, with the column."""
        for name, spelled in self._tasks.items():
            if isinstance(spelled, Mapping) and "per" in spelled:
                column = self._reader.typed(str, spelled["per"], f"tasks.{name}.per")
                if column is not None:
                    yield name, column
