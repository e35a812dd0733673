"""The recipes that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from motet.data.sources import as_source, read
from motet.recipe import load

RECIPES = sorted((Path(__file__).resolve().parent.parent / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_recipe_loads_and_its_columns_are_there(
    recipe: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTET_DATA", str(data_folder))
    loaded = load(recipe)
    assert loaded.folder == data_folder
    for source, columns in {
        task.source: (*task.inputs.columns, task.target) for task in loaded.experiment.tasks
    }.items():
        found = read(as_source(source), loaded.folder).splits
        assert {"train", "validation", "test"} <= set(found)
        assert set(columns) <= set(found["train"].column_names)


def test_fdu_mtl_has_a_task_for_every_domain(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_DATA", str(data_folder))
    (recipe,) = (recipe for recipe in RECIPES if recipe.stem == "fdu_mtl")
    experiment = load(recipe).experiment
    assert len({task.name for task in experiment.tasks}) == 16
    assert experiment.training.final == "best_mean"
