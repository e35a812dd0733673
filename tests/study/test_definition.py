"""A study file: what it says, and everything that may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from motet.errors import RecipeError
from motet.study.definition import folder_name, read_study
from motet.study.planning import plan_study

Write = Callable[[str], Path]


def complaint(path: Path) -> str:
    with pytest.raises(RecipeError) as error:
        plan_study(read_study(path))
    return str(error.value)


def test_variants_become_settings(write_study: Write) -> None:
    study = read_study(write_study(
        "base: recipe.yaml\n"
        "variants:\n  plain:\n  fast: {training.learning_rate: 1.0e-3, sampler: uniform, sampler.x: [1, a]}\n"
        "seeds: [3, 1]\nbudget: tokens\nbaseline: fast\n"
    ))  # fmt: skip
    fast = ("training.learning_rate=0.001", 'sampler="uniform"', 'sampler.x=[1, "a"]')
    assert study.variants == {"plain": (), "fast": fast}
    assert (study.seeds, study.budget, study.baseline) == ((3, 1), "tokens", "fast")


def test_what_is_left_out_has_a_default(write_study: Write) -> None:
    study = read_study(write_study("base: recipe.yaml\nvariants: {a: {}, b: {sampler: uniform}}\n"))
    assert (study.seeds, study.budget, study.baseline, study.single_task) == ((0, 1, 2), "steps", "a", False)
    assert study.search == ((),)


def test_a_grid_is_a_variant_for_every_combination(write_study: Write) -> None:
    text = "base: recipe.yaml\ngrid: {training.learning_rate: [1.0e-4, 3.0e-4], sampler: [uniform, temperature]}\n"
    study = read_study(write_study(text))
    assert list(study.variants) == [
        "learning_rate=0.0001, sampler=uniform",
        "learning_rate=0.0001, sampler=temperature",
        "learning_rate=0.0003, sampler=uniform",
        "learning_rate=0.0003, sampler=temperature",
    ]
    assert len({folder_name(name) for name in study.variants}) == 4


def test_keys_of_a_grid_are_written_out_where_their_last_words_are_equal(write_study: Write) -> None:
    text = "base: recipe.yaml\ngrid: {sampler.type: [uniform], balance.type: [sum]}\n"
    assert list(read_study(write_study(text)).variants) == ["sampler.type=uniform, balance.type=sum"]


def test_every_problem_of_the_file_is_told_at_once(write_study: Write) -> None:
    told = complaint(write_study(
        "bas: recipe.yaml\n"
        "variants:\n  single: {}\n  a: 3\n  b: {training.seed: 1}\n  b!: {}\n"
        "seeds: [0, 0]\nbudget: hours\nbaseline: c\nsearch: {training.steps: 3}\nsingle_task: yes please\n"
    ))  # fmt: skip
    assert "study.yaml has 12 problems" in told
    for part in (
        "line 1  bas\n    unknown key. Did you mean `base`?",
        "base\n    is missing",
        "line 3  variants.single\n",
        "line 4  variants.a = 3",
        "variants.b.training.seed\n    is given by `seeds`",
        "line 6  variants.b!\n",
        "seeds = [0, 0]\n    holds a seed twice",
        "budget = hours\n    must be one of steps, tokens, seconds, or one of them with an amount",
        "baseline = c\n    is none of the variants",
        "line 10  search.training.steps = 3",
        "single_task = yes please",
    ):
        assert part in told, part


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2]", "must be a mapping with the keys base"),
        ("base: recpe.yaml\nvariants: {a: {}}", "Did you mean `recipe.yaml`?"),
        ("base: recipe.yaml", "variants\n    is missing"),
        ("base: recipe.yaml\nvariants: {a: {}}\ngrid: {sampler: [uniform]}", "cannot stand beside `variants`"),
        ("base: recipe.yaml\nvariants: [a, b]", "variants\n    must be a mapping"),
        ("base: recipe.yaml\ngrid: {sampler: []}", "grid.sampler = []\n    must be a list of at least one value"),
        ("base: recipe.yaml\ngrid: {training.seed: [1]}", "grid.training.seed\n    is given by `seeds`"),
        ("base: recipe.yaml\nvariants: {a: {}}\nseeds: 3", "seeds = 3\n    must be a list of whole numbers"),
        ("base: recipe.yaml\nvariants: {a: {}}\nseeds: [-1]", "must be a list of whole numbers of at least 0"),
        ("base: recipe.yaml\nvariants: {a: {}, a: {}}", "is given twice"),
    ],
)
def test_one_problem(write_study: Write, text: str, told: str) -> None:
    assert told in complaint(write_study(text))


def test_problems_of_every_variant_are_told_with_their_lines(write_study: Write) -> None:
    told = complaint(write_study(
        "base: recipe.yaml\nvariants:\n  a: {}\n  b: {training.stpes: 3}\n  c:\n    sampler: unifrom\n"
        "search: {training.clip: [-1]}\n"
    ))  # fmt: skip
    assert "line 4  variants.b.training.stpes\n    unknown key. Did you mean `steps`?" in told
    assert "line 6  variants.c.sampler" in told
    assert "Did you mean `uniform`?" in told
    assert "line 7  search.training.clip = -1" in told


def test_a_base_that_is_wrong_is_told_by_itself(project: Path, write_study: Write) -> None:
    (project / "recipe.yaml").write_text("tasks: {mood: {type: classificaton, source: films}}\n", encoding="utf-8")
    told = complaint(write_study("base: recipe.yaml\nvariants: {a: {}, b: {}}\n"))
    assert told.startswith("recipe.yaml has 1 problem")
    assert "classification" in told


def test_the_base_is_seen_from_the_study_or_from_here(
    project: Path, write_study: Write, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_study("base: recipe.yaml\nvariants: {a: {}}\n")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert read_study(path).base == project / "recipe.yaml"
    (elsewhere / "other.yaml").touch()
    path.write_text("base: other.yaml\nvariants: {a: {}}\n", encoding="utf-8")
    assert read_study(path).base == Path("other.yaml")
