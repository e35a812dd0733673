"""Files and plain data become experiments, and experiments plain data again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.architectures import HardSharing
from motet.data.sources import Source
from motet.encoders import Encoder
from motet.errors import DataError, Problem, RecipeError
from motet.recipe import load, loads
from motet.recipe.loading import data_folder
from motet.recipe.parsing import parse_yaml
from motet.recipe.writing import to_yaml
from motet.sampling import Proportional, Temperature, Uniform
from motet.tasks import Classification, Regression, Tagging
from motet.training import (
    PRESETS,
    Continue,
    Distill,
    Drop,
    Experiment,
    Joint,
    Never,
    Patience,
    Sequential,
    Stop,
    Training,
)

words = st.text("abcdefghij -.0123456789é:#'\"?|", min_size=1, max_size=8).filter(
    lambda word: not word.startswith(".") and word.strip() == word
)
positive = st.floats(1e-6, 1e6)
sources = st.one_of(
    words,
    st.builds(
        Source,
        words,
        subset=st.one_of(st.just(""), words),
        rows=st.dictionaries(st.sampled_from(["train", "test"]), st.integers(1, 9)),
        seed=st.integers(0, 99),
    ),
)
columns = st.one_of(words, st.tuples(words, words))
labels = st.one_of(st.just(()), st.lists(words, min_size=2, max_size=5, unique=True).map(tuple))
where = st.dictionaries(words, st.one_of(words, st.integers(), st.booleans()), max_size=2)
common = {"source": sources, "where": where, "weight": positive}
tasks = st.one_of(
    st.builds(Classification, words, text=columns, label=words, classes=labels, **common),
    st.builds(Regression, words, text=columns, mean=st.one_of(st.none(), st.floats(-9, 9)), **common),
    st.builds(Tagging, words, tokens=words, labels=words, classes=labels, **common),
)
responses = st.one_of(
    st.builds(Distill, weight=positive, teacher=st.sampled_from(["recorded", "online"])),
    st.sampled_from([Continue(), Drop(), Stop()]),
)
patience = st.builds(
    Patience,
    checks=st.integers(1, 9),
    epochs=st.floats(0, 9),
    min_delta=st.one_of(st.just("auto"), st.floats(0, 1)),
    then=responses,
    rewind=st.sampled_from(["full", "weights", "none"]),
)
experiments = st.builds(
    Experiment,
    tasks=st.lists(tasks, min_size=1, max_size=3, unique_by=lambda task: task.name).map(tuple),
    encoder=st.builds(Encoder, words, layers=st.one_of(st.none(), st.integers(1, 12))),
    architecture=st.builds(HardSharing, pooling=st.sampled_from(["mean", "cls"])),
    sampler=st.one_of(st.sampled_from([Uniform(), Proportional()]), st.builds(Temperature, temperature=positive)),
    schedule=st.sampled_from([Joint(), Sequential()]),
    convergence=st.one_of(st.just(Never()), st.just(PRESETS["paper"]), patience),
    training=st.builds(
        Training,
        steps=st.integers(1, 10**6),
        learning_rate=st.floats(1e-12, 1),
        clip=st.one_of(st.none(), positive),
        decay=st.sampled_from(["linear", "cosine", "constant"]),
    ),
)


@given(experiments)
def test_a_described_experiment_reads_back(experiment: Experiment) -> None:
    described = experiment.describe()
    assert loads(described) == experiment
    assert loads(json.loads(json.dumps(described))) == experiment
    assert loads(parse_yaml(to_yaml(described)).data) == experiment


def write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


MINIMAL = "tasks: {mood: {type: classification, source: reviews.csv}}\n"


def test_the_readme_recipe(tmp_path: Path) -> None:
    text = """
encoder: sentence-transformers/all-MiniLM-L6-v2
sources:
  emotion: {path: data/emotion}
  wnut17: {path: data/wnut17}
tasks:
  emotion:  {type: classification, source: emotion, text: text, label: label, metric: macro_f1}
  entities: {type: tagging, source: wnut17, tokens: tokens, labels: tags}
sampler: {type: temperature, temperature: 2}
schedule: joint
convergence: {checks: 3, then: distill}
balance: sum
training: {steps: 3000, tokens_per_batch: 2048, learning_rate: 1.0e-4}
"""
    assert load(write(tmp_path, text)).experiment == Experiment(
        tasks=(
            Classification("emotion", source=Source("data/emotion"), metric="macro_f1"),
            Tagging("entities", source=Source("data/wnut17"), labels="tags"),
        ),
        training=Training(steps=3000),
    )


def test_yaml_json_and_toml_say_the_same(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    yaml = write(tmp_path, MINIMAL + "training: {steps: 7, learning_rate: 1e-3}\n")
    toml = (
        '[tasks.mood]\ntype = "classification"\nsource = "reviews.csv"\n[training]\nsteps = 7\nlearning_rate = 1e-3\n'
    )
    written = json.dumps(parse_yaml(yaml.read_text(encoding="utf-8")).data)
    expected = load(yaml).experiment
    assert load(write(tmp_path, written, "recipe.json")).experiment == expected
    assert load(write(tmp_path, toml, "recipe.toml")).experiment == expected


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ("none", Never()),
        ("paper", PRESETS["paper"]),
        ("patience", Patience()),
        ({"type": "paper", "checks": 5}, replace(PRESETS["paper"], checks=5)),
        ({"checks": 3, "then": "drop"}, Patience(checks=3, then=Drop())),
        ({"then": {"weight": 0.5}}, Patience(then=Distill(weight=0.5))),
        ({"then": {"type": "stop"}}, Patience(then=Stop())),
        ({"tasks": {"mood": {"then": "drop", "checks": 9}}}, Patience(tasks={"mood": {"then": Drop(), "checks": 9}})),
    ],
)
def test_ways_to_spell_convergence(spelled: Any, meant: Any) -> None:
    task = {"type": "classification", "source": "a"}
    assert loads({"tasks": {"mood": task}, "convergence": spelled}).convergence == meant


def test_settings_of_single_tasks_are_parts() -> None:
    task = {"type": "classification", "source": "a"}
    rule = loads({"tasks": {"mood": task}, "convergence": {"tasks": {"mood": {"then": "drop"}}}}).convergence
    of_mood = rule.of("mood")
    assert of_mood is not None
    assert of_mood.then == Drop()


def test_overrides_win(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, MINIMAL), ["training.steps=9", "sampler=uniform", "tasks.mood.label=stars"])
    assert loaded.experiment.training.steps == 9
    assert loaded.experiment.sampler == Uniform()
    assert loaded.experiment.tasks == (Classification("mood", source=Source("reviews.csv"), label="stars"),)


def test_the_data_given_is_left_as_it_was() -> None:
    data = {"tasks": {"mood": {"type": "classification", "source": "a"}}, "training": {"steps": 3}}
    before = json.dumps(data)
    loads(data, ["training.steps=4", "tasks.mood.label=x"])
    assert json.dumps(data) == before


def test_tasks_that_share_a_source_share_its_key(tmp_path: Path) -> None:
    text = """
sources: {reviews: {path: reviews.csv, rows: {train: 5}}}
tasks:
  mood: {type: classification, source: reviews}
  stars: {type: regression, source: reviews}
"""
    mood, stars = load(write(tmp_path, text)).experiment.tasks
    assert mood.source == stars.source == Source("reviews.csv", rows={"train": 5})


SHOPS = "text,label,shop\n" + "".join(f"text {n},{'good' if n % 3 else 'bad'},{'ab'[n % 2]}\n" for n in range(40))


def test_one_task_per_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTET_DATA", raising=False)
    write(tmp_path, SHOPS, "reviews.csv")
    recipe = "tasks: {mood: {type: classification, source: reviews.csv, per: shop, where: {x: 1}}}\n"
    experiment = load(write(tmp_path, recipe)).experiment
    assert [task.name for task in experiment.tasks] == ["mood-a", "mood-b"]
    assert [task.where for task in experiment.tasks] == [{"x": 1, "shop": "a"}, {"x": 1, "shop": "b"}]
    assert loads(experiment.describe()) == experiment


def test_a_column_without_values_is_a_problem_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTET_DATA", raising=False)
    write(tmp_path, SHOPS, "reviews.csv")
    recipe = "tasks:\n  mood:\n    type: classification\n    source: reviews.csv\n    per: shpo\n"
    with pytest.raises(RecipeError, match=r"line 5  tasks\.mood\.per = shpo") as error:
        load(write(tmp_path, recipe))
    assert "Did you mean `shop`?" in str(error.value)


def test_a_folder_is_read_only_when_the_recipe_is_right(tmp_path: Path) -> None:
    recipe = "tasks: {mood: {type: classification, source: {path: nowhere.csv, sed: 1}, per: shop}}\n"
    with pytest.raises(RecipeError, match="has 1 problem"):
        load(write(tmp_path, recipe))


def test_where_data_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, sets, work = (tmp_path / name for name in ("home", "sets", "checkout/work"))
    for folder in (home, sets, work):
        folder.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.delenv("MOTET_DATA", raising=False)
    assert data_folder(home, ["a.csv"]) == home
    (tmp_path / "checkout/shared/data").mkdir(parents=True)
    assert data_folder(home, ["a.csv"]).resolve() == tmp_path / "checkout/shared/data"
    monkeypatch.setenv("MOTET_DATA", str(sets))
    assert data_folder(home, ["a.csv"]) == sets
    write(home, SHOPS, "a.csv")
    assert data_folder(home, ["b.csv", "a.csv"]) == home
    monkeypatch.setenv("MOTET_DATA", str(tmp_path / "missing"))
    assert data_folder(sets, ["b.csv"]) == sets


def test_problems_of_the_data_get_the_lines_of_the_recipe(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "tasks:\n  mood:\n    type: classification\n    source: a.csv\n    label: stars\n"))
    error = DataError([Problem("a.csv", "is short"), Problem("tasks.mood.label", "is no column", "stars")])
    located = loaded.located(error)
    assert isinstance(located, DataError)
    assert [(problem.name, problem.line) for problem in located.problems] == [("tasks.mood.label", 5), ("a.csv", None)]
    sentence = DataError("The disk is full.")
    assert loaded.located(sentence) is sentence
