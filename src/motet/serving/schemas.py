"""What requests and answers look like, as OpenAPI: made from the tasks, with their labels as enumerations.

>>> from motet.tasks.classification import Classification
>>> mood = Classification("mood", source="a.csv", classes=("bad", "good"))
>>> answers = answers_schema(mood.answer_schema())["properties"]["answers"]
>>> answers["items"]["properties"]["label"]["enum"]
['bad', 'good']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any
from urllib.parse import quote

from motet.registry import part_name
from motet.serving.refusals import ERROR_SCHEMA, ERRORS
from motet.tasks.base import Task

__all__ = ["answers_schema", "described", "errors", "paths", "request_schema", "word_columns"]

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
_REFUSALS = (
    "malformed",
    "unauthorised",
    "unknown_task",
    "too_slow",
    "too_large",
    "bad_content",
    "too_long",
    "queue_full",
    "failed",
    "not_ready",
    "timed_out",
)
_MOST_CHOICES = 4  # of columns, for all unions of which a schema is written


def request_schema(tasks: Mapping[str, Task]) -> Schema:
    """Of a request to several tasks: for every form of input, the tasks that read it."""
    variants = []
    for inputs, reads in _forms():
        able = [name for name, task in tasks.items() if reads(task)]
        if able:
            variants.append(_body(inputs, able))
    objects = {"allOf": [_columns((), tasks)], "anyOf": [{"required": list(columns)} for columns in _choices(tasks)]}
    variants.append(_body(_one_or_more(objects)))
    for columns in _unions(_choices(tasks)):
        able = [name for name, task in tasks.items() if set(task.inputs.columns) <= set(columns)]
        variants.append(_body(_one_or_more(_columns(columns, tasks)), able, must_name=True))
    return {"anyOf": variants}


def _forms() -> Iterable[tuple[Schema, Callable[[Task], bool]]]:
    """Every form of input but objects with columns, and who reads it."""
    yield _one_or_more(_TEXT), lambda task: len(task.inputs.columns) == 1
    yield {"type": "array", "items": _PAIR, "minItems": 1}, lambda task: len(task.inputs.columns) == 2
    yield _one_or_more(_QUERY), lambda task: bool(task.group)


def _one_or_more(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


def _body(inputs: Schema, tasks: Sequence[str] = (), *, must_name: bool = False) -> Schema:
    named = {"type": "array", "items": {"type": "string", "enum": list(tasks)}, "minItems": 1, "uniqueItems": True}
    return {
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
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def word_columns(tasks: Mapping[str, Task]) -> set[str]:
    """The columns in which a list of words may stand for a text: those that are read as words alone."""
    read = [(column, task.inputs.words) for task in tasks.values() for column in task.inputs.columns]
    return {column for column, _ in read} - {column for column, words in read if not words}


def _choices(tasks: Mapping[str, Task]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(task.inputs.columns for task in tasks.values()))


def _unions(choices: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Columns that an object must have to be read by tasks of several choices at once."""
    sizes = range(1, len(choices) + 1) if len(choices) <= _MOST_CHOICES else (1, len(choices))
    found = (
        sorted({column for choice in some for column in choice}) for n in sizes for some in combinations(choices, n)
    )
    return list(dict.fromkeys(map(tuple, found)))


def answers_schema(answer: Schema) -> Schema:
    """Of the body of an answer, in which one input has a given schema."""
    cut = {"type": "integer", "minimum": 0, "description": "Inputs of which a part was not read."}
    return {
        "type": "object",
        "properties": {"answers": {"type": "array", "items": answer}, "truncated": cut},
        "required": ["answers", "truncated"],
        "additionalProperties": False,
    }


def errors(*error_types: str) -> Schema:
    """The responses that a route documents for some types of error."""
    responses: dict[str, Schema] = {}
    for error_type in error_types:
        status, meaning = ERRORS[error_type]
        response = responses.setdefault(str(status), {"description": "", "content": _json_of(_ERROR)})
        response["description"] = f"{response['description']} {meaning}".strip()
        if status in (429, 503):
            response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return responses


_ERROR: Schema = {"$ref": "#/components/schemas/Error"}


def _json_of(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def paths(tasks: Mapping[str, Task]) -> Schema:
    """The routes that answer: one for several tasks, and one for each."""
    by_task = {name: task.answer_schema() for name, task in tasks.items()}
    several = {"type": "object", "properties": by_task, "additionalProperties": False, "minProperties": 1}
    found = {
        "/predict": _operation("predict", "Answers of several tasks, from one pass", request_schema(tasks), several)
    }
    for place, (name, task) in enumerate(tasks.items()):
        request = request_schema({name: task})
        del request["anyOf"][-1]  # the only task need not be named
        for variant in request["anyOf"]:
            variant["properties"].pop("tasks", None)
        title = f"Answers of the task {name}: {task.answer}"
        found[f"/predict/{quote(name, safe='')}"] = _operation(f"predict_{place}", title, request, by_task[name])
    return found


def _operation(identity: str, title: str, request: Schema, answer: Schema) -> Schema:
    responses = {
        "200": {"description": "Answers in the order of the inputs.", "content": _json_of(answers_schema(answer))}
    }
    return {
        "post": {
            "operationId": identity,
            "summary": title,
            "requestBody": {"required": True, "content": _json_of(request)},
            "responses": {**responses, **errors(*_REFUSALS)},
        }
    }


def components() -> Schema:
    """What the routes refer to."""
    return {"schemas": {"Error": ERROR_SCHEMA}}


def described(tasks: Mapping[str, Task]) -> Schema:
    """The tasks in words and numbers, for `/info`."""
    return {
        name: {
            "type": part_name(task),
            "answer": task.answer,
            "reads": list(task.inputs.columns),
            "words": task.inputs.words,
            "ranks": bool(task.group),
            "labels": list(task.choices),
            "schema": task.answer_schema(),
        }
        for name, task in tasks.items()
    }
