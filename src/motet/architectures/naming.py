"""Architectures that name tasks: without some of them, and of two sets of tasks together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from motet.architectures.base import Architecture
from motet.registry import describe, part_name

__all__ = ["differing", "together", "without"]


def without(architecture: Architecture, tasks: Collection[str]) -> Architecture:
    """An architecture that says nothing about some tasks, which are not there.

    Example:
        >>> from motet.architectures.parallel.hard_sharing import HardSharing
        >>> without(HardSharing(task_layers={"mood": 1, "tags": 2}), ["tags"]).task_layers
        {'mood': 1}
    """
    kept = {name: _without(value, tasks) for name, value in _by_name(architecture).items()}
    return dataclasses.replace(architecture, **kept)  # type: ignore[type-var]


def together(one: Architecture, other: Architecture) -> Architecture:
    """What two architectures say about tasks of their own, in one; all else is that of the first.

    Example:
        >>> from motet.architectures.parallel.hard_sharing import HardSharing
        >>> one, other = HardSharing(task_layers={"mood": 1}), HardSharing(task_layers={"tags": 2})
        >>> together(one, other).task_layers
        {'mood': 1, 'tags': 2}
    """
    more = _by_name(other)
    said = {name: _together(value, more[name]) for name, value in _by_name(one).items()}
    return dataclasses.replace(one, **said)  # type: ignore[type-var]


def differing(one: Architecture, other: Architecture) -> list[str]:
    """The fields in which two architectures differ besides those about tasks; `type` alone where that does.

    Example:
        >>> from motet.architectures.parallel.hard_sharing import HardSharing
        >>> differing(HardSharing(task_layers={"mood": 1}), HardSharing(pooling="cls"))
        ['pooling']
    """
    if part_name(one) != part_name(other):
        return ["type"]
    ours, theirs = describe(one), describe(other)
    return [name for name, value in ours.items() if name not in _by_name(one) and theirs[name] != value]


def _by_name(architecture: Architecture) -> dict[str, Mapping[str, Any]]:
    """The fields that hold something for each of some names."""
    fields = {field.name: getattr(architecture, field.name) for field in dataclasses.fields(architecture)}  # type: ignore[arg-type]
    return {name: value for name, value in fields.items() if isinstance(value, Mapping)}


def _without(value: Mapping[str, Any], tasks: Collection[str]) -> dict[str, Any]:
    """Neither under the names of the tasks nor, where a name stands for several tasks, among these."""
    left = {name: _left(of, tasks) for name, of in value.items() if name not in tasks}
    return {name: of for name, of in left.items() if of != () or value[name] == ()}


def _left(of: Any, tasks: Collection[str]) -> Any:
    return tuple(name for name in of if name not in tasks) if isinstance(of, tuple) else of


def _together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: one[name] + other[name] for name in one if name in other and isinstance(one[name], tuple)}
    return {**one, **other, **both}
