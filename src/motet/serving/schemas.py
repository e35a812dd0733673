"""What the routes of a server take and answer, as OpenAPI: made from the tasks, with their labels as enumerations.

>>> from motet.tasks.classification import Classification
>>> mood = Classification("mood", source="a.csv", classes=("bad", "good"))
>>> components({"mood": mood})["MoodAnswer"]["properties"]["label"]["enum"]
['bad', 'good']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import quote

from motet.registry import part_name
from motet.serving.limits import Limits
from motet.serving.naming import classes
from motet.serving.refusals import ERROR_SCHEMA, ERRORS
from motet.serving.request_schemas import enumeration, reference, request_components, request_schema
from motet.tasks.base import Task

__all__ = ["answers_schema", "components", "described", "errors", "json_of", "paths"]

Schema = dict[str, Any]

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


def answers_schema(answer: Schema) -> Schema:
    """Of the body of an answer, in which one input has a given schema."""
    cut = {"type": "integer", "minimum": 0, "description": "Inputs of which a part was not read."}
    return _object(answers={"type": "array", "items": answer}, truncated=cut)


def errors(*error_types: str) -> Schema:
    """The responses that a route documents for some types of error."""
    responses: dict[str, Schema] = {}
    for error_type in error_types:
        status, meaning = ERRORS[error_type]
        response = responses.setdefault(str(status), {"description": "", "content": json_of(reference("Error"))})
        response["description"] = f"{response['description']} {meaning}".strip()
        if status in (429, 503):
            response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return responses


def json_of(schema: Schema) -> Schema:
    """The content of a body of JSON."""
    return {"application/json": {"schema": schema}}


def paths(tasks: Mapping[str, Task]) -> Schema:
    """The routes that answer: one for several tasks, and one for each; they refer to `components`."""
    title = "Answers of several tasks, from one pass"
    found = {"/predict": _operation("predict", title, request_schema(tasks), "Predictions")}
    for (name, task), own in zip(tasks.items(), classes(tasks), strict=True):
        title = f"Answers of the task {name}: {task.answer}"
        path = f"/predict/{quote(name, safe='')}"
        found[path] = _operation(f"predict_{own}", title, request_schema(tasks, name), f"{own}Answers")
    return found


def _operation(identity: str, title: str, request: Schema, answers: str) -> Schema:
    responses = {"200": {"description": "Answers in the order of the inputs.", "content": json_of(reference(answers))}}
    return {
        "post": {
            "operationId": identity,
            "summary": title,
            "requestBody": {"required": True, "content": json_of(request)},
            "responses": {**responses, **errors(*_REFUSALS)},
        }
    }


def components(tasks: Mapping[str, Task]) -> dict[str, Schema]:
    """What the routes refer to, by names that are fit for classes."""
    own = dict(zip(tasks, classes(tasks), strict=True))
    found = {"Error": ERROR_SCHEMA, "Info": _info(), **request_components(tasks)}
    for name, task in tasks.items():
        found.update(_answer(f"{own[name]}Answer", task))
        found[f"{own[name]}Answers"] = answers_schema(reference(f"{own[name]}Answer"))
    by_task = {name: reference(f"{own[name]}Answer") for name in tasks}
    found["ByTask"] = {"type": "object", "properties": by_task, "additionalProperties": False, "minProperties": 1}
    found["Predictions"] = answers_schema(reference("ByTask"))
    return found


def _answer(component: str, task: Task) -> dict[str, Schema]:
    """The answer of a task; where it has several shapes, each is a component of its own."""
    schema = _for_generators(task.answer_schema(), task.choices)
    if "anyOf" not in schema:
        return {component: schema}
    keys = classes(" ".join(shape["required"]) for shape in schema["anyOf"])
    shapes = {f"{component}{own}": shape for own, shape in zip(keys, schema["anyOf"], strict=True)}
    return {component: {"anyOf": [reference(shape) for shape in shapes]}, **shapes}


def _for_generators(node: Any, labels: Sequence[str]) -> Any:
    """The schema of an answer so that generators of clients make the best of it, though it says the same.

    Labels become constants that can be told apart, scores by label a mapping rather than a class with an attribute for
    each, and of several shapes the one with the most keys comes first, since a client takes the first that fits.
    """
    if isinstance(node, list):
        return [_for_generators(inner, labels) for inner in node]
    if not isinstance(node, dict):
        return node
    if labels and node.get("enum") == list(labels):
        return enumeration(labels)
    if labels and list(node.get("properties", {})) == list(labels):
        every = {"minProperties": len(labels), "propertyNames": {"enum": list(labels)}}
        return {"type": "object", "additionalProperties": node["properties"][labels[0]], **every}
    found = {key: _for_generators(inner, labels) for key, inner in node.items()}
    if "anyOf" in found:
        found["anyOf"] = sorted(found["anyOf"], key=lambda shape: -len(shape.get("required", ())))
    return found


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


def _info() -> Schema:
    """Of the answer of `/info`."""
    text, truth, whole, anything = ({"type": name} for name in ("string", "boolean", "integer", "object"))
    texts = {"type": "array", "items": text}
    task = _object(type=text, answer=text, reads=texts, words=truth, ranks=truth, labels=texts, schema=anything)
    limits = {field.name: whole if field.type == "int" else {"type": "number"} for field in fields(Limits)}
    return _object(
        motet=text,
        model=text,
        max_length=whole,
        token=truth,
        tasks={"type": "object", "additionalProperties": {"title": "Task", **task}},
        limits=_object(**limits),
    )


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
