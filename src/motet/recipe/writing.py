"""Experiments as recipes again: bare for a run folder, or with every key and what it means."""

from __future__ import annotations

import dataclasses
import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from motet.recipe.loading import load
from motet.recipe.parts import kind_of_part, sentences, summary
from motet.recipe.sections import Recipe
from motet.registry import describe, names, part_name
from motet.training.experiment import Experiment

__all__ = ["fill", "to_yaml"]

_ORDER = ("encoder", "sources", "tasks", "architecture", "sampler", "schedule", "balance", "convergence", "training")
_WIDTH = 100
_CLEAR = re.compile(r"[\w./](?:[\w./ -]*[\w./-])?")
_TRUTH_ELSEWHERE = ("yes", "no", "on", "off")  # truth values to readers of YAML 1.1


def to_yaml(data: Any) -> str:
    """Plain data as YAML that reads back as the same data.

    Example:
        >>> print(to_yaml({"training": {"steps": 100, "clip": None}, "labels": ["no", "1"]}), end="")
        training: {steps: 100, clip: null}
        labels: ["no", '1']
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.width = 10**6
    yaml.allow_unicode = True
    yaml.Representer = _Plain
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()


class _Plain(SafeRepresenter):
    """Keys in their order, what occurs twice written twice, and texts in quotes where there is any doubt."""

    def represent(self, data: Any) -> None:
        self.sort_base_mapping_type_on_output = False
        root = self.represent_data(data)
        _lay_out(root)
        self.serializer.serialize(root)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def quoted_where_in_doubt(self, text: str) -> Any:
        clear = _CLEAR.fullmatch(text) and text.lower() not in _TRUTH_ELSEWHERE
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if clear else '"')


def _lay_out(node: Node, outermost: bool = True) -> None:
    """Put what holds only scalars on one line, and everything else in blocks."""
    if not isinstance(node, CollectionNode):
        return
    inner = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    node.flow_style = not outermost and all(isinstance(part, ScalarNode) for part in inner)
    for part in inner:
        _lay_out(part, outermost=False)


_Plain.add_representer(str, _Plain.quoted_where_in_doubt)


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
            others = ", ".join(name for name in names(kind) if name != part_name(part))
            yield f"{pad}type: {part_name(part)}" + (f"  # or {others}" if others else "")
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

    def _source(self, source: Any) -> Any:
        """The name of a source, if it has one."""
        return self._source_names.get(source, source)

    def _comment(self, sentence: str, pad: str) -> Iterator[str]:
        if sentence and sentence not in self._told:
            self._told.add(sentence)
            yield from textwrap.wrap(sentence, _WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")
