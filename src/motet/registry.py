"""Kinds of parts, and the names under which they are found.

A part is a frozen dataclass registered under the name its field of research uses. Its fields are the keys of a
recipe, the arguments of the class, the rows of the reference and the lines of the report, all at once.

    >>> from dataclasses import dataclass
    >>> @register("sampler", "every_other")
    ... @dataclass(frozen=True, kw_only=True)
    ... class EveryOther:
    ...     offset: int = 0
    >>> find("sampler", "every_other")(offset=1)
    EveryOther(offset=1)
    >>> describe(EveryOther(offset=1))
    {'type': 'every_other', 'offset': 1}

Packages outside motet join by an entry point of the group ``motet.parts`` that names a module to import; it is
imported only when a name is not found here.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar, get_args

from motet.errors import RecipeError, nearest

__all__ = ["Kind", "describe", "find", "names", "part_name", "register"]

Kind = Literal["task", "sampler", "schedule", "architecture", "balance", "regulariser", "convergence", "response"]

_parts: dict[tuple[str, str], type] = {}
_names: dict[type, str] = {}
_loaded_entry_points: set[str] = set()
Part = TypeVar("Part", bound=type)


def register(kind: Kind, name: str) -> Callable[[Part], Part]:
    """Enter a class under a kind and a name.

    Raises:
        ValueError: unknown kind, or the name is taken by another class.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"`kind` must be one of {get_args(Kind)}, found {kind!r}")

    def enter(part: Part) -> Part:
        taken = _parts.get((kind, name))
        if taken is not None and _address(taken) != _address(part):
            raise ValueError(f"{kind} {name!r} is taken by {_address(taken)}")
        _parts[kind, name] = part
        _names[part] = name
        return part

    return enter


def find(kind: Kind, name: str) -> type:
    """The class registered under a name.

    Raises:
        RecipeError: no such part; names the nearest one.
    """
    if (kind, name) not in _parts:
        _load_entry_points()
    if (kind, name) not in _parts:
        raise RecipeError(f"unknown {kind} `{name}`. {nearest(name, names(kind))}")
    return _parts[kind, name]


def names(kind: Kind) -> list[str]:
    """The names registered for a kind, sorted."""
    return sorted(name for of_kind, name in _parts if of_kind == kind)


def part_name(part: object) -> str:
    """The name under which the class of a part is registered."""
    return _names[type(part)]


def describe(value: Any) -> Any:
    """Plain data that spells a part as a recipe does: its `type` and its fields, all the way down.

    Objects that have a method `describe` are asked for it.
    """
    if hasattr(value, "describe"):
        return value.describe()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        kind = _names.get(type(value))
        return {"type": kind, **fields} if kind else fields
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _address(part: type) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def _load_entry_points() -> None:
    for point in entry_points(group="motet.parts"):
        if point.value not in _loaded_entry_points:
            _loaded_entry_points.add(point.value)
            point.load()
