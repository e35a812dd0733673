"""Schedules in recipes: lists of phases, words for orders, and everything that is wrong at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.training.schedules.traces import EVERY, NAMES

from motet.errors import RecipeError
from motet.recipe import load, loads
from motet.recipe.schema import schema
from motet.recipe.writing import fill
from motet.registry import describe
from motet.training.schedules import Phase, Phases, Sequential

TASKS = {name: {"type": "classification", "source": "data/shop", "label": name} for name in ("mood", "topic", "stars")}


def read(schedule: Any) -> Any:
    return loads({"tasks": TASKS, "schedule": schedule}).schedule


@pytest.mark.parametrize("name", EVERY)
def test_a_schedule_reads_back_as_it_was(name: str) -> None:
    tasks = dict.fromkeys(NAMES, TASKS["mood"])
    spelled = describe(EVERY[name])
    assert loads({"tasks": tasks, "schedule": spelled}).schedule == EVERY[name]


def test_orders_are_words_or_lists() -> None:
    assert read("sequential") == Sequential()
    assert read({"type": "sequential", "order": "size_desc"}) == Sequential(order="size_desc")
    names = ["stars", "mood", "topic"]
    assert read({"type": "sequential", "order": names}) == Sequential(order=("stars", "mood", "topic"))
    with pytest.raises(RecipeError, match="`size_asc`"):
        read({"type": "sequential", "order": "size_ascending"})


def test_phases_are_a_list() -> None:
    spelled = [{"tasks": ["mood"], "steps": 100}, {"tasks": ["mood", "topic", "stars"]}]
    found = Phases(phases=(Phase(tasks=("mood",), steps=100), Phase(tasks=("mood", "topic", "stars"))))
    assert read({"type": "phases", "phases": spelled}) == found


def test_a_filled_recipe_with_phases_means_the_same(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "tasks:\n  mood: {type: classification, source: data/shop}\n"
        "schedule: {type: phases, phases: [{tasks: [mood], epochs: 0.5}, {tasks: [mood]}]}\n",
        encoding="utf-8",
    )
    filled = tmp_path / "filled.yaml"
    filled.write_text(fill(recipe), encoding="utf-8")
    assert load(filled).experiment.schedule == load(recipe).experiment.schedule


def test_an_editor_knows_the_keys_of_a_phase() -> None:
    (phases,) = (
        one["properties"]["phases"]
        for one in schema()["properties"]["schedule"]["anyOf"]
        if one.get("properties", {}).get("type") == {"const": "phases"}
    )
    assert phases["type"] == "array"
    assert set(phases["items"]["properties"]) == {"tasks", "steps", "epochs"}
    assert phases["items"]["required"] == ["tasks"]


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        ({}, "schedule.phases = {}\n    must be a list of mappings"),
        (["mood"], 'schedule.phases.0 = "mood"\n    must be a mapping'),
        ([{"steps": 3}, {"tasks": ["mood"]}], "schedule.phases.0.tasks\n    is missing"),
        ([{"tasks": [], "steps": 3}], "schedule.phases.0.tasks\n    must name at least one task"),
        ([{"tasks": ["mood"], "stesp": 3}], "schedule.phases.0.stesp\n    unknown key. Did you mean `steps`?"),
        ([{"tasks": ["mood"], "epochs": "two"}], 'schedule.phases.0.epochs = "two"\n    must be a number or null'),
        ([], "schedule.phases\n    must hold at least one phase"),
    ],
)
def test_phases_that_cannot_be_read(phases: Any, told: str) -> None:
    with pytest.raises(RecipeError) as error:
        read({"type": "phases", "phases": phases})
    assert [str(problem) for problem in error.value.problems] == [told]


def test_everything_that_does_not_fit_is_told_at_once_and_before_the_first_step() -> None:
    phases = [{"tasks": ["moood", "topic"], "steps": 10}, {"tasks": ["topic", "stra"]}]
    parts = {
        "schedule": {"type": "phases", "phases": phases},
        "balance": {"type": "loss_ratio", "reference": "tpic"},
        "convergence": {"tasks": {"satrs": {"checks": 2}}},
    }
    with pytest.raises(RecipeError) as error:
        loads({"tasks": TASKS, **parts})
    assert [problem.name for problem in error.value.problems] == [
        "convergence.tasks.satrs",
        "balance.reference",
        "schedule.phases.0.tasks",
        "schedule.phases.1.tasks",
        "schedule.phases",
        "schedule.phases",
    ]
    text = str(error.value)
    for right in ("`mood`", "`stars`", "`topic`"):
        assert f"Did you mean {right}?" in text
    assert "leave out `mood`, which would never learn" in text


@pytest.mark.parametrize("name", ["primary_first", "pretrain_finetune", "primary_auxiliary"])
def test_a_primary_task_has_to_be_named(name: str) -> None:
    with pytest.raises(RecipeError, match=r"schedule\.primary\n    is missing"):
        read({"type": name})


def test_lines_lead_to_the_phase(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "tasks:\n  mood: {type: classification, source: data/shop}\n"
        "schedule:\n  type: phases\n  phases:\n    - {tasks: [mood], steps: 0}\n    - tasks: [mood]\n",
        encoding="utf-8",
    )
    with pytest.raises(RecipeError) as error:
        load(recipe)
    assert [(problem.line, problem.name) for problem in error.value.problems] == [(6, "schedule.phases.0.steps")]
