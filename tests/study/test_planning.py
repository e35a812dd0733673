"""Which runs a study asks for, and what they are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from motet.errors import RecipeError
from motet.recipe.loading import load
from motet.study.definition import read_study
from motet.study.ledger import digest
from motet.study.planning import plan_study

Write = Callable[[str], Path]
TEXT = "base: recipe.yaml\nvariants: {plain: {}, uniform: {sampler: uniform}}\nseeds: [0, 4]\n"


def test_an_entry_for_every_variant_and_seed(write_study: Write) -> None:
    units = plan_study(read_study(write_study(TEXT)))
    assert [(unit.variant, unit.task, unit.trials) for unit in units] == [("plain", "", ()), ("uniform", "", ())]
    entries = [entry for unit in units for entry in unit.candidates[0]]
    assert [(entry.variant, entry.seed) for entry in entries] == [
        ("plain", 0), ("plain", 4), ("uniform", 0), ("uniform", 4),
    ]  # fmt: skip
    assert entries[3].settings == ('sampler="uniform"', "training.seed=4")
    assert len({entry.name for entry in entries}) == 4


def test_a_name_holds_the_content_of_the_resolved_recipe(project: Path, write_study: Write) -> None:
    entry = plan_study(read_study(write_study(TEXT)))[1].candidates[0][1]
    experiment = load(project / "recipe.yaml", entry.settings).experiment
    assert entry.digest == digest(experiment.describe())
    assert entry.name == f"uniform-seed4-{entry.digest[:8]}"
    recipe = project / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("steps: 6", "steps: 7"), encoding="utf-8")
    assert plan_study(read_study(project / "study.yaml"))[1].candidates[0][1].digest != entry.digest


def test_every_variant_tries_all_combinations_with_one_seed(write_study: Write) -> None:
    search = "search: {training.learning_rate: [1.0e-3, 1.0e-4, 1.0e-5], training.clip: [1.0, null]}\n"
    for unit in plan_study(read_study(write_study(TEXT + search))):
        assert len(unit.candidates) == len(unit.trials) == 6
        assert {entry.seed for entry in unit.trials} == {0}
        assert len({entry.digest for entries in unit.candidates for entry in entries}) == 12


def test_every_task_alone_is_one_variant(write_study: Write) -> None:
    units = plan_study(read_study(write_study(TEXT + "single_task: true\nbaseline: single\n")))
    assert [(unit.variant, unit.task) for unit in units[2:]] == [("single", "mood"), ("single", "stars")]
    entry = units[3].candidates[0][0]
    assert entry.name.startswith("single-stars-seed0-")
    (task,) = load("recipe.yaml", entry.settings).experiment.tasks
    assert task.name == "stars"


def test_tasks_alone_may_have_settings_of_their_own(write_study: Write) -> None:
    units = plan_study(read_study(write_study(TEXT + "single_task: {training.steps: 2}\n")))
    steps = [load("recipe.yaml", unit.candidates[0][0].settings).experiment.training.steps for unit in units]
    assert steps[2:] == [2, 2]
    assert 2 not in steps[:2]


@pytest.mark.parametrize(
    ("budget", "field", "ends"),
    [("steps: 6", "steps", [6, 6, 3, 3]), ("tokens: 9000", "max_tokens", [9000, 9000, 4500, 4500]),
     ("seconds: 5", "max_seconds", [5.0, 5.0, 2.5, 2.5])],
)  # fmt: skip
def test_a_budget_with_an_amount_ends_all_runs(budget: str, field: str, ends: list[float], write_study: Write) -> None:
    units = plan_study(read_study(write_study(f"{TEXT}single_task: true\nbudget: {{{budget}}}\n")))
    training = [load("recipe.yaml", unit.candidates[0][0].settings).experiment.training for unit in units]
    assert [getattr(of, field) for of in training] == ends


@pytest.mark.parametrize("budget", ["{hours: 3}", "{tokens: 0}", "{tokens: many}", "{steps: 1, tokens: 2}", "[steps]"])
def test_a_budget_without_sense_is_refused(budget: str, write_study: Write) -> None:
    with pytest.raises(RecipeError, match="budget"):
        read_study(write_study(f"{TEXT}budget: {budget}\n"))


def test_a_wrong_setting_of_tasks_alone_is_placed_there(write_study: Write) -> None:
    with pytest.raises(RecipeError, match=r"single_task\.training\.stepz"):
        plan_study(read_study(write_study(TEXT + "single_task: {training.stepz: 2}\n")))


def test_what_speaks_of_other_tasks_is_no_part_of_one_alone(project: Path, write_study: Write) -> None:
    rules = "convergence: {tasks: {mood: {checks: 9}, stars: {checks: 7}}}"
    order = "schedule: {type: sequential, order: [stars, mood]}"
    text = (project / "recipe.yaml").read_text(encoding="utf-8")
    text = text.replace("convergence: none", f"{rules}\n{order}")
    (project / "recipe.yaml").write_text(text, encoding="utf-8")
    units = plan_study(read_study(write_study("base: recipe.yaml\nsingle_task: true\n")))
    experiment = load("recipe.yaml", units[0].candidates[0][0].settings).experiment
    assert experiment.describe()["convergence"]["tasks"].keys() == {"mood"}
    assert experiment.describe()["schedule"] == {"type": "joint"}
