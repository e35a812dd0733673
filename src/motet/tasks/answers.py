"""What answers look like, said once: a typed dictionary beside each `decode`, and as JSON Schema.

A text that is one of a task's labels is written as `Label` in the dictionary. In the schema of a task with known
labels it becomes an enumeration, and a mapping from labels an object with exactly these keys.

    >>> from motet.tasks.classification import Label, LabelAnswer
    >>> schema = schema_of(LabelAnswer, ["bad", "good"])
    >>> schema["properties"]["label"]
    {'type': 'string', 'enum': ['bad', 'good']}
    >>> schema["properties"]["scores"]["required"]
    ['bad', 'good']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter, WithJsonSchema

__all__ = ["Label", "schema_of"]

_MARK = "label"
Label = Annotated[str, WithJsonSchema({"type": "string", "format": _MARK})]


def schema_of(answer_type: Any, labels: Sequence[str]) -> dict[str, Any]:
    """The JSON Schema of an answer.

    Args:
        answer_type: a `TypedDict`, or a union of several.
        labels: those that its `Label` stands for.

    Returns:
        A schema without references: all keys required, no others allowed.
    """
    schema = TypeAdapter(answer_type).json_schema()
    definitions = schema.pop("$defs", {})
    filled: dict[str, Any] = _filled(schema, definitions, labels)
    return filled


def _filled(node: Any, definitions: Mapping[str, Any], labels: Sequence[str]) -> Any:
    if isinstance(node, list):
        return [_filled(inner, definitions, labels) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _filled(definitions[node["$ref"].rpartition("/")[2]], definitions, labels)
    if node.get("format") == _MARK:
        return {"type": "string", "enum": list(labels)}
    if node.get("propertyNames", {}).get("format") == _MARK:
        return _mapping(_filled(node["additionalProperties"], definitions, labels), labels)
    plain = {key: _filled(inner, definitions, labels) for key, inner in node.items() if key != "title"}
    return {**plain, "additionalProperties": False} if "properties" in node else plain


def _mapping(value: Any, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict.fromkeys(labels, value),
        "required": list(labels),
        "additionalProperties": False,
    }
