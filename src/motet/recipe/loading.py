"""Recipes from files and from plain data."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet.errors import RecipeError, UserError
from motet.recipe.document import Document
from motet.recipe.overrides import override
from motet.recipe.parsing import read_document
from motet.recipe.sections import Recipe, interpret
from motet.training.experiment import Experiment

__all__ = ["Loaded", "data_folder", "load", "loads"]


@dataclass(frozen=True)
class Loaded:
    """A recipe that was read from a file.

    Args:
        experiment: what it spells.
        folder: where relative paths of its sources are looked up, besides the working directory.
        path: the file.
        recipe: what it says, with the names of sources.
        document: its text, which knows the lines.
    """

    experiment: Experiment
    folder: Path
    path: Path
    recipe: Recipe
    document: Document

    def located(self, error: UserError) -> UserError:
        """The same error, with the lines of the keys that its problems name."""
        return type(error)(self.document.located(error.problems), heading=self.path.name) if error.problems else error


def load(path: str | Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read a recipe from a .yaml, .json or .toml file.

    Args:
        path: the file.
        overrides: settings to put in place of those of the file, like ``training.steps=100``.

    Raises:
        RecipeError: everything that is wrong, each with its line.

    Example:
        >>> loaded = load("recipe.yaml", ["training.steps=100"])  # doctest: +SKIP
        >>> loaded.experiment.training.steps  # doctest: +SKIP
        100
    """
    file = Path(path)
    document = read_document(file)

    def folder_of(recipe: Recipe) -> Path:
        return data_folder(file.parent, recipe.paths)

    recipe, experiment = _interpreted(document, overrides, folder_of, file.name)
    return Loaded(experiment, folder_of(recipe), file, recipe, document)


def loads(data: Mapping[str, Any], overrides: Sequence[str] = (), folder: Path | None = None) -> Experiment:
    """Read a recipe from plain data, such as what `Experiment.describe` gives.

    Args:
        data: the sections.
        overrides: as for `load`.
        folder: where relative paths of sources are looked up, besides the working directory.

    Raises:
        RecipeError: everything that is wrong.

    Example:
        >>> task = {"type": "classification", "source": "reviews.csv"}
        >>> loads({"tasks": {"mood": task}, "training": {"steps": 50}}).training.steps
        50
    """
    document = Document(copy.deepcopy(dict(data)))
    return _interpreted(document, overrides, lambda recipe: folder, "The recipe")[1]


def data_folder(home: Path, paths: Iterable[str]) -> Path:
    """Where the paths in a recipe are looked up, besides the working directory.

    The recipe's own folder if anything that it names lies there; else the folder that MOTET_DATA names, or
    `shared/data` beside the working directory; if there is none, the recipe's own.

    Args:
        home: the recipe's own folder.
        paths: what its sources are called.
    """
    if any((home / path).exists() for path in paths):
        return home
    named = Path(os.environ.get("MOTET_DATA") or Path("..", "shared", "data"))
    return named if named.is_dir() else home


def _interpreted(
    document: Document, overrides: Sequence[str], folder_of: Callable[[Recipe], Path | None], heading: str
) -> tuple[Recipe, Experiment]:
    for setting in overrides:
        override(document, setting)
    try:
        return interpret(document, folder_of)
    except RecipeError as error:
        raise RecipeError(error.problems, heading=heading) from error
