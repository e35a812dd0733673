"""What requests look like, as OpenAPI: a body for every form of input, with the tasks that read it.

>>> from motet.tasks.regression import Regression
>>> bodies = request_schema({"stars": Regression("stars", source="a.csv")})["anyOf"]
>>> [body["title"] for body in bodies]
['Texts', 'Objects', 'TextRows']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from motet.serving.naming import classes, constants
from motet.tasks.base import Task

__all__ = ["enumeration", "reference", "request_components", "request_schema", "word_columns"]

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_PAIR: Schema = {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}
_QUERY: Schema = {
    "type": "object",
    "properties": {"query": _TEXT, "candidates": {"type": "array", "items": _TEXT, "minItems": 1}},
    "required": ["query", "candidates"],
    "additionalProperties": False,
}
# White space as Python has it, which is a little more than what `\s` means elsewhere.
_WORD: Schema = {"type": "string", "minLength": 1, "pattern": r"^[^\s\x1c-\x1f\x85]+$"}
_WORDS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _WORD, "minItems": 1}]}
_TRUNCATE: Schema = {
    "type": "boolean",
    "default": True,
    "description": "Whether a text may be read in part; if not, one that is too long is refused with 422.",
}
_MOST_CHOICES = 4  # of columns, for all unions of which a schema is written


def reference(component: str) -> Schema:
    """A schema that stands among the components."""
    return {"$ref": f"#/components/schemas/{component}"}


def enumeration(labels: Sequence[str]) -> Schema:
    """One of some labels, with constants for them where generators of clients would find none or too few.

    Example:
        >>> enumeration(["bad", "good"])
        {'type': 'string', 'enum': ['bad', 'good']}
        >>> enumeration(["a b", "a-b"])["x-enum-varnames"]
        ['A_B', 'A_B2']
    """
    schema: Schema = {"type": "string", "enum": list(labels)}
    named = constants(labels)
    return schema if named == [label.upper() for label in labels] else {**schema, "x-enum-varnames": named}


def _one_or_more(*schemas: Schema) -> Schema:
    items = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    return {"anyOf": [*schemas, {"type": "array", "items": items, "minItems": 1}]}


# Every form of input but objects with columns, and who reads it.
_FORMS: tuple[tuple[str, Schema, Callable[[Task], bool]], ...] = (
    ("Texts", _one_or_more(_TEXT), lambda task: len(task.inputs.columns) == 1),
    ("Pairs", {"type": "array", "items": _PAIR, "minItems": 1}, lambda task: len(task.inputs.columns) == 2),
    ("Queries", _one_or_more(reference("Query")), lambda task: bool(task.group)),
)


def request_schema(tasks: Mapping[str, Task], only: str = "") -> Schema:
    """Of a request; it refers to `request_components`.

    Args:
        tasks: those that have an answer to a text.
        only: the one task of the route; empty where the body may name tasks.
    """
    mine = {only: tasks[only]} if only else tasks
    variants = []
    for title, inputs, reads in _FORMS:
        able = [name for name, task in mine.items() if reads(task)]
        if able:
            variants.append(_body(title, inputs, () if only else able))
    rows = _rows(tasks, only)
    variants.append(_body("Objects", _one_or_more(*(reference(rows[choice]) for choice in _choices(mine)))))
    for columns, row in () if only else rows.items():
        able = [name for name, task in tasks.items() if set(task.inputs.columns) <= set(columns)]
        variants.append(_body(f"{row}s", _one_or_more(reference(row)), able, must_name=True))
    return {"anyOf": variants}


def request_components(tasks: Mapping[str, Task]) -> dict[str, Schema]:
    """Objects with columns by their names, for all tasks together and for each alone; and queries."""
    found = {row: _columns(columns, tasks) for columns, row in _rows(tasks).items()}
    for name, task in tasks.items():
        found.update((row, _columns(columns, {name: task})) for columns, row in _rows(tasks, name).items())
    return {**found, **({"Query": _QUERY} if any(task.group for task in tasks.values()) else {})}


def _rows(tasks: Mapping[str, Task], only: str = "") -> dict[tuple[str, ...], str]:
    """How objects are called that have some columns, as all tasks or one of them reads them."""
    if only:
        own = dict(zip(tasks, classes(tasks), strict=True))[only]
        return dict.fromkeys(_choices({only: tasks[only]}), f"{own}Input")
    unions = _unions(_choices(tasks))
    named = classes(" ".join(union) for union in unions)
    return {union: f"{name}Row" for union, name in zip(unions, named, strict=True)}


def _body(title: str, inputs: Schema, tasks: Sequence[str] = (), *, must_name: bool = False) -> Schema:
    named = {"type": "array", "items": enumeration(tasks), "minItems": 1, "uniqueItems": True}
    return {
        "title": title,
        "type": "object",
        "properties": {"inputs": inputs, **({"tasks": named} if tasks else {}), "truncate": _TRUNCATE},
        "required": ["inputs", "tasks"] if must_name else ["inputs"],
        "additionalProperties": False,
    }


def _columns(required: Sequence[str], tasks: Mapping[str, Task]) -> Schema:
    """An object that has some columns; those that tasks read hold texts, others may hold anything."""
    words = word_columns(tasks)
    every = dict.fromkeys(column for task in tasks.values() for column in task.inputs.columns)
    properties = {column: _WORDS if column in words else _TEXT for column in every}
    return {"type": "object", "properties": properties, "required": list(required)}


def word_columns(tasks: Mapping[str, Task]) -> set[str]:
    """The columns in which a list of words may stand for a text: those that are read as words alone."""
    read = [(column, task.inputs.words) for task in tasks.values() for column in task.inputs.columns]
    return {column for column, _ in read} - {column for column, words in read if not words}


def _choices(tasks: Mapping[str, Task]) -> list[tuple[str, ...]]:
    """The sets of columns that tasks read, each in the order of the alphabet."""
    return list(dict.fromkeys(tuple(sorted(task.inputs.columns)) for task in tasks.values()))


def _unions(choices: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Columns that an object must have to be read by tasks of several choices at once; each choice is one."""
    sizes = range(1, len(choices) + 1) if len(choices) <= _MOST_CHOICES else (1, len(choices))
    found = (
        sorted({column for choice in some for column in choice}) for n in sizes for some in combinations(choices, n)
    )
    return list(dict.fromkeys(map(tuple, found)))
