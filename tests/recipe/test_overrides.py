"""Settings from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from motet.errors import RecipeError
from motet.recipe.document import Document
from motet.recipe.overrides import override
from motet.recipe.parsing import parse_yaml


@pytest.mark.parametrize(
    ("setting", "result"),
    [
        ("training.steps=5", {"training": {"steps": 5}}),
        ("training.clip=null", {"training": {"clip": None}}),
        ("training.learning_rate=1e-4", {"training": {"learning_rate": 1e-4}}),
        ("sampler=uniform", {"sampler": "uniform"}),
        ("tasks.a.classes=[x, y]", {"tasks": {"a": {"classes": ["x", "y"]}}}),
        ("tasks.a.text=a=b", {"tasks": {"a": {"text": "a=b"}}}),
        ("convergence={checks: 3, then: drop}", {"convergence": {"checks": 3, "then": "drop"}}),
        ("training.device=", {"training": {"device": None}}),
    ],
)
def test_a_value_is_yaml(setting: str, result: dict[str, Any]) -> None:
    document = Document({})
    override(document, setting)
    assert document.data == result


@pytest.mark.parametrize(
    ("before", "setting", "after"),
    [
        ({"sampler": "temperature"}, "sampler.temperature=3", {"sampler": {"type": "temperature", "temperature": 3}}),
        ({"encoder": "some/name"}, "encoder.layers=3", {"encoder": {"name": "some/name", "layers": 3}}),
        ({"sources": {"a": "a.csv"}}, "sources.a.seed=1", {"sources": {"a": {"path": "a.csv", "seed": 1}}}),
        (
            {"convergence": {"then": "distill"}},
            "convergence.then.weight=2",
            {"convergence": {"then": {"type": "distill", "weight": 2}}},
        ),
        ({"training": None}, "training.steps=3", {"training": {"steps": 3}}),
        ({"training": {"steps": 1, "seed": 2}}, "training.steps=3", {"training": {"steps": 3, "seed": 2}}),
        ({"tasks": {"v1.0": {"label": "a"}}}, "tasks.v1.0.label=b", {"tasks": {"v1.0": {"label": "b"}}}),
    ],
)
def test_it_goes_where_the_name_says(before: dict[str, Any], setting: str, after: dict[str, Any]) -> None:
    document = Document(before)
    override(document, setting)
    assert document.data == after


def test_what_was_put_in_place_has_no_line() -> None:
    document = parse_yaml("training:\n  steps: 3\n  seed: 1\nsampler:\n  temperature: 2\n")
    override(document, "training.steps=x")
    override(document, "sampler={temperature: -1}")
    assert document.line("training.steps") is None
    assert document.line("sampler.temperature") is None
    assert document.line("training.seed") == 3


@pytest.mark.parametrize("setting", ["training.steps", "=3", "", ".steps=3", "training..steps=3", "training.=3"])
def test_what_is_no_setting(setting: str) -> None:
    with pytest.raises(RecipeError, match="is no setting"):
        override(Document({}), setting)


def test_a_value_that_is_no_yaml() -> None:
    with pytest.raises(RecipeError, match=r"training\.steps = \[1"):
        override(Document({}), "training.steps=[1")
