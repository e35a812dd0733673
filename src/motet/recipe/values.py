"""One value of a recipe, held against the type of the field it is for.

Strict, as JSON is: a list may become a tuple and a whole number a number, nothing else changes its type.

    >>> convert(tuple[str, ...], ["a", "b"])
    ('a', 'b')
    >>> convert(int, "3")
    Traceback (most recent call last):
    motet.recipe.values.WrongTypeError: must be a whole number
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from motet.errors import nearest

__all__ = ["WrongTypeError", "adapter", "convert", "did_you_mean", "expectation", "kind_of", "shown"]

_SINGULAR = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}
_PLURAL = {int: "whole numbers", float: "numbers", str: "texts", bool: "truth values", Any: "anything"}
_KINDS = {**_SINGULAR, dict: "a mapping", list: "a list"}
_COUNTS = {2: "two", 3: "three"}


class WrongTypeError(ValueError):
    """A value does not have the type of its field; the message ends a sentence that begins with the field."""

    def __init__(self, rule: str, remedy: str = "") -> None:
        super().__init__(rule)
        self.rule = rule
        self.remedy = remedy


def convert(hint: Any, value: Any) -> Any:
    """The value as the type says.

    Raises:
        WrongTypeError: it has another type.
    """
    try:
        return adapter(hint).validate_json(json.dumps(value))
    except ValidationError as error:
        raise WrongTypeError(f"must be {expectation(hint)}", _remedy(hint, value)) from error
    except TypeError as error:
        raise WrongTypeError(f"must be plain data ({error})") from error


@cache
def adapter(hint: Any) -> TypeAdapter[Any]:
    """What checks values of a type, and knows its JSON schema."""
    return TypeAdapter(hint, config=ConfigDict(strict=True))


def expectation(hint: Any) -> str:
    """A type in words.

    Example:
        >>> expectation(str | tuple[str, str]), expectation(float | None)
        ('text or a list of two texts', 'a number or null')
        >>> expectation(tuple[tuple[str, str], ...])
        'a list of lists of two texts'
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(expectation, inner))
    if origin is Literal:
        return _listed([f"`{word}`" for word in inner])
    if origin is tuple and inner[-1] is not ...:
        return f"a list of {_COUNTS.get(len(inner), len(inner))} {_PLURAL[inner[0]]}"
    if origin in (tuple, list) and dataclasses.is_dataclass(inner[0]):
        return "a list of mappings"
    if origin in (tuple, list):
        plural = _PLURAL.get(inner[0]) or expectation(inner[0]).replace("a list", "lists", 1)
        return f"a list of {plural}"
    if origin is not None:
        return "a mapping" if inner[-1] not in _PLURAL else f"a mapping from names to {_PLURAL[inner[-1]]}"
    return _SINGULAR.get(hint) or f"a {hint.__name__}"


def kind_of(value: Any) -> str:
    """What a plain value is, in words."""
    return _KINDS.get(type(value), type(value).__name__)


def shown(value: Any) -> str:
    """A plain value on one line, as JSON spells it, cut when it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(name: str, options: Sequence[str]) -> str:
    """The closest option as a question; nothing where none is close, unlike `nearest`.

    Example:
        >>> did_you_mean("lable", ["label", "text"]), did_you_mean("zzz", ["label", "text"])
        ('Did you mean `label`?', '')
    """
    sentence = nearest(name, options)
    return sentence if sentence.startswith("Did") else ""


def _remedy(hint: Any, value: Any) -> str:
    options = [word for part in _members(hint) if get_origin(part) is Literal for word in get_args(part)]
    if isinstance(value, str):
        if type(None) in _members(hint) and value.lower() == "none":
            return "Write null."
        return did_you_mean(value, options)
    if isinstance(value, float) and value.is_integer() and int in _members(hint):
        return f"Write {int(value)}."
    if _is_number(value) and str in _members(hint):
        return f'Write "{value}" in quotes.'
    if isinstance(value, list) and any(map(_is_number, value)) and tuple[str, ...] in _members(hint):
        return "Write them in quotes."
    return ""


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
