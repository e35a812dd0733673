"""Experiments as recipes again: bare for a run folder, or with every key and what it means."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from motet.recipe.loading import load
from motet.recipe.parts import kind_of_part, sentences, summary, types_of
from motet.recipe.sections import Recipe
from motet.registry import Kind, describe, names, part_name
from motet.spelling import to_yaml
from motet.training.experiment import Experiment
from motet.training.pretrained_teachers import PretrainedTeacher

__all__ = ["fill", "to_yaml"]

_ORDER = (
    "encoder",
    "sources",
    "tasks",
    "architecture",
    "sampler",
    "schedule",
    "balance",
    "regularisers",
    "convergence",
    "training",
    "start_from",
    "teachers",
)
_LISTS = {  # sections that hold several parts, and are mostly empty
    "regularisers": lambda: f"losses beside those of the tasks: {', '.join(names('regulariser'))}",
    "teachers": lambda: f"finished runs that teach tasks beside their labels: {', '.join(types_of(PretrainedTeacher))}",
}
_WIDTH = 100


def fill(path: str | Path) -> str:
    """A recipe with every key that it may have, its value or default, and a comment that says what it is.

    Args:
        path: the recipe.

    Raises:
        RecipeError: everything that is wrong with it.
    """
    loaded = load(path)
    return "\n".join(_Filling(loaded.recipe).lines(loaded.experiment)) + "\n"


class _Filling:
    """Writes parts field by field; what is explained once is not explained again."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._source_names = {source: name for name, source in recipe.sources.items()}
        self._told: set[str] = set()

    def lines(self, experiment: Experiment) -> Iterator[str]:
        for section in _ORDER:
            if section == "sources" and self._recipe.sources:
                yield "sources:"
                for name, source in self._recipe.sources.items():
                    yield from self._entry(name, source, 2)
            elif section == "tasks":
                yield "tasks:"
                for name, task in self._recipe.tasks.items():
                    yield from self._entry(name, task, 2)
            elif section != "sources":
                if section in _LISTS:
                    yield from self._comment(_LISTS[section](), "")
                yield from self._entry(section, getattr(experiment, section), 0)
            if section != _ORDER[-1] and (section != "sources" or self._recipe.sources):
                yield ""

    def _entry(self, key: str, value: Any, depth: int) -> Iterator[str]:
        """A key with what it holds: a part field by field, anything else on one line."""
        pad = " " * depth
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            yield from textwrap.indent(to_yaml({key: describe(value)}), pad).splitlines()
            return
        yield pad + to_yaml({key: None}).removesuffix(" null\n")
        yield from self._fields(value, depth + 2)

    def _fields(self, part: Any, depth: int) -> Iterator[str]:
        cls: type = type(part)
        pad, kind = " " * depth, kind_of_part(cls)
        if kind:
            yield from self._comment(summary(cls), pad)
            yield from self._types(kind, part_name(part), pad)
        for field in dataclasses.fields(part):
            if kind == "task" and field.name == "name":
                continue
            yield from self._comment(sentences(cls).get(field.name, ""), pad)
            value = getattr(part, field.name)
            if kind == "task" and field.name == "source":
                yield from self._entry("source", self._source(value), depth)
                if part.name in self._recipe.per:
                    yield from self._entry("per", self._recipe.per[part.name], depth)
            else:
                yield from self._entry(field.name, value, depth)

    def _types(self, kind: Kind, chosen: str, pad: str) -> Iterator[str]:
        """The type, with the others behind it, or above it where they are many."""
        others = ", ".join(name for name in names(kind) if name != chosen)
        line = f"{pad}type: {chosen}" + (f"  # or {others}" if others else "")
        if len(line) <= _WIDTH:
            yield line
            return
        yield from self._comment(f"other types: {others}", pad)
        yield f"{pad}type: {chosen}"

    def _source(self, source: Any) -> Any:
        """The name of a source, if it has one."""
        return self._source_names.get(source, source)

    def _comment(self, sentence: str, pad: str) -> Iterator[str]:
        if sentence and sentence not in self._told:
            self._told.add(sentence)
            yield from textwrap.wrap(sentence, _WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")
