r"""The text of a recipe as plain data that still knows its lines.

YAML is read by version 1.2, where `no` is a text and `1e-4` a number; JSON and TOML carry no line numbers. Nothing
here knows what the keys mean.

    >>> document = parse_yaml("training:\n  steps: 100\n")
    >>> document.data, document.line("training.steps")
    ({'training': {'steps': 100}}, 2)
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from motet.errors import Problem, RecipeError, nearest
from motet.recipe.document import Document

__all__ = ["parse_yaml", "read_document"]

_STANDARD = "tag:yaml.org,2002:"
_CONVERTED = {f"{_STANDARD}{tag}" for tag in ("int", "float", "bool", "null")}
_MENDED = {
    "mapping values are not allowed here": "Put a text that holds `: ` in quotes.",
    "found character '\\t' that cannot start any token": "That is a tab. Indent with spaces.",
    "found character '@' that cannot start any token": "Put a text that begins with `@` in quotes.",
    "found character '`' that cannot start any token": "Put a text that begins with a backtick in quotes.",
    "found character '%' that cannot start any token": "Put a text that begins with `%` in quotes.",
    "but found another document": "A recipe is one document, without a line `---` inside.",
}


def read_document(path: Path) -> Document:
    """Read a file as its ending says: .yaml, .yml, .json or .toml.

    Raises:
        RecipeError: no such file, another ending, or a syntax error.
    """
    parsers = {".yaml": parse_yaml, ".yml": parse_yaml, ".json": _parse_json, ".toml": _parse_toml}
    parse = parsers.get(path.suffix.lower())
    if parse is None:
        raise RecipeError(f"{path} is no recipe: its name must end in {', '.join(parsers)}.")
    try:
        return parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise RecipeError(f"There is no file {path}. {_neighbour(path, tuple(parsers))}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read ({error}).") from error
    except RecipeError as error:
        raise RecipeError(error.problems, heading=path.name) from error


def parse_yaml(text: str) -> Document:
    """Parse one YAML document.

    Raises:
        RecipeError: a syntax error, with line and column.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark, complaint = error.problem_mark, str(error.problem)
        place = f"column {mark.column + 1}" if mark else "the file"
        raise RecipeError(
            Problem(place, complaint, remedy=_MENDED.get(complaint, ""), line=mark.line + 1 if mark else None)
        ) from error
    except YAMLError as error:
        raise RecipeError(Problem("the file", f"is no text that YAML allows ({error})")) from error
    walk = _Walk(yaml)
    return Document(walk.value(root, "") if root else None, walk.lines, walk.problems)


class _Walk:
    """From nodes to plain data, keeping lines."""

    def __init__(self, yaml: YAML) -> None:
        self.lines: dict[str, int | None] = {}
        self.problems: list[Problem] = []
        self._constructor = yaml.constructor
        self._open: list[Node] = []

    def value(self, node: Node, name: str) -> Any:
        if node in self._open:
            self._complain(node, name, "refers to itself")
            return None
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, name)
            if isinstance(node, SequenceNode):
                return [self._item(item, f"{name}.{place}") for place, item in enumerate(node.value)]
            return self._scalar(node, name)
        finally:
            self._open.pop()

    def _mapping(self, node: MappingNode, name: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_STANDARD}merge":
                merged.update(self._merged(value, name))
            elif not isinstance(key, ScalarNode):
                self._complain(key, name, "has a key that is no text")
            else:
                self._enter(found, key, value, name)
        return merged | found

    def _enter(self, found: dict[str, Any], key: ScalarNode, value: Node, name: str) -> None:
        whole = f"{name}.{key.value}" if name else key.value
        if key.value in found:
            self._complain(key, whole, f"is given twice, first on line {self.lines[whole]}")
            return
        self.lines[whole] = _line(key)
        found[key.value] = self.value(value, whole)

    def _merged(self, node: Node, name: str) -> dict[str, Any]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            value = self.value(part, name)
            if isinstance(value, dict):
                merged.update(value)
            else:
                self._complain(node, name, "merges what is no mapping")
        return merged

    def _item(self, node: Node, name: str) -> Any:
        self.lines[name] = _line(node)
        return self.value(node, name)

    def _scalar(self, node: Node, name: str) -> Any:
        tag = str(node.tag)
        if tag in _CONVERTED:
            return self._constructor.construct_object(node)
        if not tag.startswith(_STANDARD) or "python" in tag:
            self._complain(node, name, f"has the tag `{tag}`; a recipe has plain values only")
        return node.value

    def _complain(self, node: Node, name: str, rule: str) -> None:
        self.problems.append(Problem(name or "the file", rule, line=_line(node)))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _parse_json(text: str) -> Document:
    twice: list[Problem] = []

    def enter(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice.extend(Problem(key, "is given twice") for key in sorted({k for k in keys if keys.count(k) > 1}))
        return dict(pairs)

    try:
        return Document(json.loads(text, object_pairs_hook=enter), problems=twice)
    except json.JSONDecodeError as error:
        raise RecipeError(Problem(f"column {error.colno}", error.msg, line=error.lineno)) from error


def _parse_toml(text: str) -> Document:
    try:
        toml = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        raise RecipeError(
            Problem("the file", "is TOML, which Python reads from 3.11 on", remedy="Write YAML.")
        ) from None
    try:
        return Document(toml.loads(text))
    except ValueError as error:  # the class of its own is a ValueError
        raise RecipeError(Problem("the file", str(error))) from error


def _neighbour(path: Path, endings: tuple[str, ...]) -> str:
    folder = path.parent
    there = [file.name for file in folder.iterdir() if file.suffix in endings] if folder.is_dir() else []
    return nearest(path.name, there, remedy="`motet init DATA` writes a recipe.")
