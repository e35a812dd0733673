"""A filled recipe says everything and means the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from motet.recipe import load
from motet.recipe.parsing import parse_yaml
from motet.recipe.parts import sentences, types_of
from motet.recipe.writing import fill, to_yaml
from motet.training import Patience, Training

RECIPE = """
sources: {reviews: {path: reviews.csv, rows: {train: 9}}}
tasks:
  mood: {type: classification, source: reviews, classes: ["no", "yes"]}
  "a: 1": {type: tagging, source: news.conll, where: {page: 1}}
sampler: uniform
convergence: {type: paper, tasks: {mood: {then: drop}}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


def test_it_means_the_same(recipe: Path, tmp_path: Path) -> None:
    filled = tmp_path / "filled.yaml"
    filled.write_text(fill(recipe), encoding="utf-8")
    assert load(filled).experiment == load(recipe).experiment


def test_it_has_every_key(recipe: Path) -> None:
    data = parse_yaml(fill(recipe)).data
    assert set(data["training"]) == set(types_of(Training))
    assert set(data["convergence"]) == {*types_of(Patience), "type"}
    assert data["tasks"]["mood"]["source"] == "reviews"
    assert data["tasks"]["a: 1"]["source"] == "news.conll"
    assert data["sources"]["reviews"]["seed"] == 13


def test_it_explains_every_key_once(recipe: Path) -> None:
    words = " ".join(line.strip(" #") for line in fill(recipe).splitlines() if line.lstrip().startswith("#"))
    for cls in (Training, Patience):
        for field in types_of(cls):
            assert words.count(sentences(cls)[field]) == 1, field
    assert words.count("the column of the label.") == 1


def test_it_names_the_other_types(recipe: Path) -> None:
    text = fill(recipe)
    assert "type: distill  # or continue, drop, stop\n" in text
    assert "# other types: annealed, boltzmann," in text
    assert "# other types: causal_language, generation, masked_language" in text
    assert "type: classification\n" in text


def test_lines_are_short_and_end_in_nothing(recipe: Path) -> None:
    lines = fill(recipe).splitlines()
    assert max(map(len, lines)) <= 104
    assert not [line for line in lines if line != line.rstrip()]


def test_a_task_per_value_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTET_DATA", raising=False)
    rows = "text,label,shop\n" + "a,b,x\nc,d,y\n" * 20
    (tmp_path / "reviews.csv").write_text(rows, encoding="utf-8")
    file = tmp_path / "recipe.yaml"
    file.write_text("tasks: {mood: {type: classification, source: reviews.csv, per: shop}}\n", encoding="utf-8")
    assert parse_yaml(fill(file)).data["tasks"]["mood"]["per"] == "shop"


def test_what_holds_scalars_is_on_one_line() -> None:
    data = {"b": {"y": 1, "x": "no"}, "a": {"z": {"w": [1, "?|"]}}, "c": 1}
    assert to_yaml(data) == 'b: {y: 1, x: "no"}\na:\n  z:\n    w: [1, "?|"]\nc: 1\n'


def test_what_occurs_twice_is_written_twice() -> None:
    part = {"x": 1}
    assert to_yaml({"a": part, "b": part}) == "a: {x: 1}\nb: {x: 1}\n"


def test_regularisers_are_written_and_read_back(recipe: Path, tmp_path: Path) -> None:
    with recipe.open("a", encoding="utf-8") as file:
        file.write('regularisers: [l2_to_start, {type: kl, tasks: [[mood, "a: 1"]]}]\n')
    filled = tmp_path / "filled.yaml"
    filled.write_text(fill(recipe), encoding="utf-8")
    assert "# losses beside those of the tasks: cmd, kl," in filled.read_text(encoding="utf-8")
    read = load(filled).experiment
    assert len(read.regularisers) == 2
    assert read == load(recipe).experiment
