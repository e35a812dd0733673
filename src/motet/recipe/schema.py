"""The JSON schema of recipes, with which editors complete keys and mark mistakes while one types."""

from __future__ import annotations

import dataclasses
from typing import Any

from motet.data.sources import Source
from motet.recipe.parts import (
    KINDS,
    class_of_list,
    classes_of,
    default_name,
    kind_of_list,
    presets,
    required,
    sentences,
    summary,
    types_of,
    word_field,
)
from motet.recipe.values import adapter
from motet.registry import Kind
from motet.training.experiment import Experiment

__all__ = ["schema"]

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema, drawn from the parts that are registered.

    Example:
        >>> "temperature" in schema()["properties"]["sampler"]["anyOf"][0]["enum"]
        True
    """
    sections = {name: _field(Experiment, name) for name in types_of(Experiment) if name != "tasks"}
    source = _class(Source)
    tasks = [_task(name, cls, source) for name, cls in classes_of("task").items()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of motet",
        **_object({"sources": _named(source), "tasks": _named({"anyOf": tasks}), **sections}, {"tasks"}),
    }


def _field(cls: type, name: str) -> Schema:
    hint, description = types_of(cls)[name], sentences(cls).get(name, "")
    if hint in KINDS:
        found = _part(KINDS[hint], default_name(cls, name))
    elif (kind := kind_of_list(hint)) is not None:
        found = {"type": "array", "items": _part(kind, "")}
    elif (item := class_of_list(hint)) is not None:
        found = {"type": "array", "items": _class(item)}
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        found = _class(hint)
    else:
        found = adapter(hint).json_schema()
    return {**found, "description": description} if description else found


def _part(kind: Kind, default: str) -> Schema:
    """A word, or a mapping with `type`, which may be left out where there is a default."""
    words = [*classes_of(kind), *presets(kind)]
    classes = {**classes_of(kind), **{name: type(part) for name, part in presets(kind).items()}}
    typed = [_typed(name, cls, set() if name == default else {"type"}) for name, cls in classes.items()]
    return {"anyOf": [{"enum": words}, *typed]}


def _task(name: str, cls: type, source: Schema) -> Schema:
    found = _typed(name, cls, {"type", "source"})
    del found["properties"]["name"]
    found["properties"]["source"] = {**source, "description": "a name in `sources`, a path, or a source spelt out"}
    found["properties"]["per"] = {"type": "string", "description": "a column; one task for each of its values"}
    return found


def _typed(name: str, cls: type, needed: set[str]) -> Schema:
    fields = {field: _field(cls, field) for field in types_of(cls)}
    return {"description": summary(cls), **_object({"type": {"const": name}, **fields}, needed)}


def _class(cls: type) -> Schema:
    whole = _object({field: _field(cls, field) for field in types_of(cls)}, required(cls))
    return {"anyOf": [{"type": "string"}, whole]} if word_field(cls) else whole


def _object(properties: Schema, needed: set[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": sorted(needed), "additionalProperties": False}


def _named(inner: Schema) -> Schema:
    return {"type": "object", "additionalProperties": inner, "minProperties": 1}
