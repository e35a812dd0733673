"""A value against a type: strict, and the type in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from motet.recipe.values import WrongTypeError, convert, expectation, kind_of, shown

Choice = Literal["a", "b"]


@pytest.mark.parametrize(
    ("hint", "value", "meant"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, math.inf, math.inf),
        (str, "3", "3"),
        (bool, True, True),
        (tuple[str, ...], ["a"], ("a",)),
        (tuple[str, ...], [], ()),
        (str | tuple[str, str], ["a", "b"], ("a", "b")),
        (int | None, None, None),
        (float | Literal["auto"], "auto", "auto"),
        (Choice, "b", "b"),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Mapping[str, Any], {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        (Any, [1, "a"], [1, "a"]),
    ],
)
def test_what_fits(hint: Any, value: Any, meant: Any) -> None:
    assert convert(hint, value) == meant
    assert type(convert(hint, value)) is type(meant)


@pytest.mark.parametrize(
    ("hint", "value", "rule", "remedy"),
    [
        (int, "3", "must be a whole number", ""),
        (int, True, "must be a whole number", ""),
        (int, 3.0, "must be a whole number", "Write 3."),
        (int, math.inf, "must be a whole number", ""),
        (float, "3", "must be a number", ""),
        (float, False, "must be a number", ""),
        (bool, 1, "must be true or false", ""),
        (bool, "yes", "must be true or false", ""),
        (str, 3, "must be text", 'Write "3" in quotes.'),
        (str, True, "must be text", ""),
        (str, None, "must be text", ""),
        (tuple[str, ...], ["a", 1], "must be a list of texts", "Write them in quotes."),
        (tuple[str, str], ["a"], "must be a list of two texts", ""),
        (int | None, "None", "must be a whole number or null", "Write null."),
        (float | Literal["auto"], "aut", "must be a number or `auto`", "Did you mean `auto`?"),
        (float | Literal["auto"], "zzz", "must be a number or `auto`", ""),
        (Choice, "c", "must be `a` or `b`", ""),
        (Mapping[str, int], {"a": "x"}, "must be a mapping from names to whole numbers", ""),
        (Mapping[str, Mapping[str, Any]], {"a": 1}, "must be a mapping", ""),
        (int, {1, 2}, "must be plain data (Object of type set is not JSON serializable)", ""),
    ],
)
def test_what_does_not(hint: Any, value: Any, rule: str, remedy: str) -> None:
    with pytest.raises(WrongTypeError) as error:
        convert(hint, value)
    assert (error.value.rule, error.value.remedy) == (rule, remedy)


def test_types_in_words() -> None:
    assert expectation(list[int]) == "a list of whole numbers"
    assert expectation(Literal["a"]) == "`a`"
    assert expectation(Mapping[str, str]) == "a mapping from names to texts"


def test_values_in_words() -> None:
    values: list[Any] = [None, True, 1, 1.5, "", [], {}]
    assert [kind_of(value) for value in values] == [
        "null",
        "true or false",
        "a whole number",
        "a number",
        "text",
        "a list",
        "a mapping",
    ]
    assert shown({"é": None}) == '{"é": null}'
    assert len(shown("x" * 100)) == 60
