from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import typer.main

from motet.cli.app import app
from motet.errors import RecipeError
from motet.serving.limits import Limits


def test_flags_come_before_the_environment_and_that_before_defaults() -> None:
    environment = {"MOTET_SERVE_MAX_INPUTS": "16", "MOTET_SERVE_MAX_QUEUE": "32", "PATH": "/bin"}
    found = Limits.read({"max_inputs": 8, "max_queue": None}, environment)
    assert (found.max_inputs, found.max_queue, found.max_body) == (8, 32, Limits().max_body)


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_SERVE_REQUEST_TIMEOUT", "2.5")
    assert Limits.read({}).request_timeout == 2.5


def test_every_problem_of_the_environment_is_told() -> None:
    environment = {
        "MOTET_SERVE_MAX_INPUTS": "many",
        "MOTET_SERVE_MAX_WIAT": "1",
        "MOTET_SERVE_TOKEN": "x",
        "MOTET_SERVE_BODY_TIMEOUT": "",
    }
    with pytest.raises(RecipeError) as error:
        Limits.read({}, environment)
    assert [problem.name for problem in error.value.problems] == [
        "MOTET_SERVE_MAX_INPUTS",
        "MOTET_SERVE_MAX_WIAT",
        "MOTET_SERVE_BODY_TIMEOUT",
    ]
    assert "Did you mean `MOTET_SERVE_MAX_WAIT`?" in str(error.value)
    assert "must be a whole number" in str(error.value)


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_a_limit_limits(name: str) -> None:
    bad: tuple[Any, ...] = (-1, math.inf, math.nan) + ((0,) if name != "max_wait" else ())
    for value in bad:
        with pytest.raises(RecipeError, match=name):
            Limits(**{name: value})


def test_every_limit_is_a_flag() -> None:
    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {option for parameter in serve.params for option in parameter.opts}
    assert {f"--{field.name.replace('_', '-')}" for field in fields(Limits)} <= known
