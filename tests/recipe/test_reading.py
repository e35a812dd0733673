"""Everything that is wrong with a recipe is told at once: line, place, rule, what was found, what to do."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from motet import registry
from motet.data.sources import Source
from motet.errors import Problem, RecipeError, nearest
from motet.recipe.loading import load, loads
from motet.recipe.reading import Reader

TASK = {"type": "classification", "source": "reviews.csv"}


def problems(**sections: Any) -> list[str]:
    with pytest.raises(RecipeError) as error:
        loads({"tasks": {"mood": TASK}, **sections})
    return [str(problem) for problem in error.value.problems]


def problems_of_file(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load(tmp_path / "recipe.yaml")
    return [str(problem) for problem in error.value.problems]


def test_everything_at_once(tmp_path: Path) -> None:
    text = """\
        encoder: some/encoder
        sources:
          emotion: {path: data/emotion, sed: 3}
        tasks:
          emotion:
            type: classification
            source: emotoin
            lable: label
            metric: macro_f2
          entities:
            type: taging
            source: emotion
        sampler:
          type: uniform
          temperature: 2
        training:
          steps: 0
          temperature: 2
          learning_rate: fast
        convergence:
          checks: 0
          then: distil
        training:
          steps: 5
    """
    (tmp_path / "recipe.yaml").write_text(dedent(text), encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load(tmp_path / "recipe.yaml")
    told = """\
        recipe.yaml has 12 problems

        line 3  sources.emotion.sed
            unknown key. Did you mean `seed`?
        line 7  tasks.emotion.source = "emotoin"
            is neither in `sources` nor a file here. Did you mean `emotion`?
        line 8  tasks.emotion.lable
            unknown key. Did you mean `label`?
        line 9  tasks.emotion.metric = macro_f2
            is not one of this answer shape. Did you mean `macro_f1`?
        line 11  tasks.entities.type = "taging"
            is no task. Did you mean `tagging`?
        line 15  sampler.temperature
            belongs to the type `boltzmann` and `capped` and `temperature`, not to this one
        line 17  training.steps = 0
            must be at least 1
        line 18  training.temperature
            belongs to `architecture` or `sampler` or `balance` or `regularisers` or `convergence.then` or `teachers`, not to `training`. Move it to architecture.temperature or sampler.temperature or balance.temperature or regularisers.temperature or convergence.then.temperature or teachers.temperature.
        line 19  training.learning_rate = "fast"
            must be a number
        line 21  convergence.checks = 0
            must be at least 1
        line 22  convergence.then = "distil"
            is no response. Did you mean `distill`?
        line 23  training
            is given twice, first on line 16
    """  # noqa: E501  the message as it is printed
    assert str(error.value) == dedent(told).strip()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file\n    is empty. `motet init DATA` writes a recipe."),
        ("# only a comment\n", "the file\n    is empty"),
        ("{}\n", "the file\n    is empty"),
        ("- a\n- b\n", "the file\n    must be a mapping with the keys sources, tasks, encoder"),
        ("just text\n", "found text"),
        ("training: {steps: 3}\n", "tasks\n    is missing: a recipe needs at least one task"),
        ("tasks:\n", "line 1  tasks\n    is empty. Name at least one task."),
        ("tasks: {}\n", "line 1  tasks\n    is empty"),
        ("tasks: [a]\n", "line 1  tasks\n    must be a mapping from names to tasks, found a list"),
        ("tasks: {a: b}\n", 'line 1  tasks.a = "b"\n    must be a mapping with `type`, `source` and columns'),
        ("tasks:\n  a:\n", "line 2  tasks.a = null\n    must be a mapping"),
        (
            "tasks: {a: {source: x}}\n",
            "tasks.a.type\n    is missing. There are: causal_language, classification, generation, masked_language",
        ),
        ("tasks: {a: {type: tagging}}\n", "line 1  tasks.a.source\n    is missing"),
        ("tasks: {a: {type: 3, source: x}}\n", "tasks.a.type = 3\n    must be text"),
        (
            "tasks:\n\ta: {}\n",
            "line 2  column 1\n    found character '\\t' that cannot start any token. That is a tab.",
        ),
    ],
)
def test_recipes_without_substance(tmp_path: Path, text: str, told: str) -> None:
    assert told in problems_of_file(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"sources": None}, "sources\n    is empty. Leave it out."),
        ({"sources": 3}, "sources\n    must be a mapping from names to sources, found a whole number"),
        ({"sources": ["a"]}, "sources\n    must be a mapping from names to sources, found a list"),
        ({"sources": {"a": 3}}, "sources.a = 3\n    must be text or a mapping"),
        ({"sources": {"a": {"rows": {"train": 5}}}}, "sources.a.path\n    is missing"),
        ({"sources": {"a": {"path": [{"text": "t"}]}}}, 'sources.a.path = [{"text": "t"}]\n    must be text'),
        (
            {"sources": {"a": {"path": "x", "rows": {"tran": 5}}}},
            "sources.a.rows.tran\n    is not a split. Did you mean",
        ),
        ({"encoder": 3}, "encoder = 3\n    must be text or a mapping"),
        ({"encoder": {"name": ""}}, "encoder.name = ''\n    must be a folder or a name at the hub"),
        ({"training": "fast"}, 'training = "fast"\n    must be a mapping'),
        ({"training": None}, "training = null\n    must be a mapping"),
        ({"sampler": None}, "sampler = null\n    must be a word or a mapping with `type`. Leave `sampler` out for the"),
        ({"sampler": 3}, "sampler = 3\n    must be a word or a mapping"),
        ({"sampler": "unifrom"}, 'sampler = "unifrom"\n    is no sampler. Did you mean `uniform`?'),
        ({"sampler": {"type": "unifrom"}}, 'sampler.type = "unifrom"\n    is no sampler'),
        ({"convergence": "papr"}, "is no convergence. Did you mean `paper`?"),
        (
            {"convergence": {"then": {"type": "distill", "wieght": 1}}},
            "convergence.then.wieght\n    unknown key. Did you",
        ),
        (
            {"convergence": {"tasks": {"mod": {"checks": 3}}}},
            "convergence.tasks.mod\n    names no task. Did you mean `mood`",
        ),
        (
            {"convergence": {"tasks": {"mood": {"checks": "3"}}}},
            'convergence.tasks.mood.checks = "3"\n    must be a whole',
        ),
        (
            {"convergence": {"tasks": {"mood": {"chekcs": 3}}}},
            "convergence.tasks.mood.chekcs\n    cannot be set for a sin",
        ),
        (
            {"convergence": {"tasks": {"mood": {"then": "dorp"}}}},
            'convergence.tasks.mood.then = "dorp"\n    is no respons',
        ),
        ({"convergence": {"tasks": ["mood"]}}, 'convergence.tasks = ["mood"]\n    must be a mapping'),
    ],
)
def test_sections_that_cannot_be_read(sections: dict[str, Any], told: str) -> None:
    (problem,) = problems(**sections)
    assert told in problem


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"steps": "100"}, 'training.steps = "100"\n    must be a whole number'),
        ({"steps": True}, "training.steps = true\n    must be a whole number"),
        ({"steps": 1e4}, "training.steps = 10000.0\n    must be a whole number. Write 10000."),
        ({"steps": 1.5}, "training.steps = 1.5\n    must be a whole number"),
        ({"steps": None}, "training.steps = null\n    must be a whole number"),
        ({"steps": [1]}, "training.steps = [1]\n    must be a whole number"),
        ({"learning_rate": True}, "training.learning_rate = true\n    must be a number"),
        ({"learning_rate": "1e-4"}, 'training.learning_rate = "1e-4"\n    must be a number'),
        ({"clip": "none"}, 'training.clip = "none"\n    must be a number or null. Write null.'),
        ({"decay": "lineer"}, "must be `linear`, `cosine` or `constant`. Did you mean `linear`?"),
        ({"decay": "zzz"}, 'training.decay = "zzz"\n    must be `linear`, `cosine` or `constant`'),
        ({"device": 0}, 'training.device = 0\n    must be text. Write "0" in quotes.'),
        ({"lr": 1e-3}, "training.lr\n    unknown key. Here it is called `learning_rate`."),
        ({"epochs": 3}, "training.epochs\n    unknown key. Here it is called `steps`."),
        ({"stpes": 3}, "training.stpes\n    unknown key. Did you mean `steps`?"),
        ({"zzz": 3}, "training.zzz\n    unknown key. There are: accumulate,"),
        ({"pooling": "cls"}, "training.pooling\n    belongs to `architecture`, not to `training`. Move it to archit"),
        (
            {"label": "a"},
            "training.label\n    belongs to `tasks.<name>`, not to `training`. Move it to tasks.<name>.label.",
        ),
        ({"path": "a"}, "training.path\n    belongs to `sources.<name>`"),
        (
            {"sampler": "uniform"},
            "training.sampler\n    belongs to the top level, not to `training`. Move it to sampler.",
        ),
        ({"patience": 3}, "training.patience\n    unknown key. Did you mean convergence.checks?"),
    ],
)
def test_values_and_keys(value: dict[str, Any], told: str) -> None:
    (problem,) = problems(training=value)
    assert told in problem


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"text": ["a", "b", "c"]}, "must be text or a list of two texts"),
        ({"text": 3}, 'must be text or a list of two texts. Write "3" in quotes.'),
        ({"classes": [0, 1]}, "tasks.mood.classes = [0, 1]\n    must be a list of texts. Write them in quotes."),
        ({"classes": "a"}, "must be a list of texts"),
        ({"classes": ["a", "a"]}, "tasks.mood.classes = a\n    must name each label once"),
        ({"where": ["a"]}, "must be a mapping"),
        ({"weight": -1}, "tasks.mood.weight = -1.0\n    must be a positive number"),
        ({"name": "x"}, 'tasks.mood.name = "x"\n    is the key that the task stands under. Leave it out.'),
        ({"tokens": "a"}, "tasks.mood.tokens\n    belongs to the type `tagging`, not to this one"),
        ({"steps": 3}, "tasks.mood.steps\n    belongs to `training`, not to `tasks.mood`. Move it to training.steps."),
        ({"rows": {"train": 3}}, "belongs to `sources.<name>`, not to `tasks.mood`. Move it to sources.<name>.rows."),
        ({"per": 3}, 'tasks.mood.per = 3\n    must be text. Write "3" in quotes.'),
        ({"source": 3}, "tasks.mood.source = 3\n    must be text or a mapping"),
        ({"source": {"path": "x", "sede": 1}}, "tasks.mood.source.sede\n    unknown key. Did you mean `seed`?"),
        ({"source": {"path": "x", "label": "a"}}, "tasks.mood.source.label\n    belongs to `tasks.<name>`"),
    ],
)
def test_tasks_that_cannot_be_read(keys: dict[str, Any], told: str) -> None:
    (problem,) = problems(tasks={"mood": {**TASK, **keys}})
    assert told in problem


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("steps", "belongs to `training`, not to the top level. Move it to training.steps."),
        ("task", "unknown key. Did you mean `tasks`?"),
        ("model", "unknown key. Here it is called `encoder`."),
        (
            "temperature",
            "belongs to `architecture` or `sampler` or `balance` or `regularisers` or `convergence.then` or "
            "`teachers`, not to the top",
        ),
    ],
)
def test_strangers_at_the_top(key: str, told: str) -> None:
    (problem,) = problems(**{key: 3})
    assert problem.startswith(f"{key}\n    {told}")


def test_a_bad_value_does_not_hide_the_others_of_its_part() -> None:
    found = problems(training={"steps": "x", "warmup": 3.0, "seed": -1})
    assert [problem.split()[0] for problem in found] == ["training.steps", "training.warmup", "training.seed"]


def test_a_bad_section_does_not_hide_what_does_not_fit_together() -> None:
    found = problems(training={"steps": 0}, convergence={"monitor": "rmse"})
    assert len(found) == 2
    assert "is no metric of the task" in found[1]


def test_several_tasks_report_for_themselves() -> None:
    found = problems(tasks={"a": {**TASK, "lable": "x"}, "b": {**TASK, "weight": 0}, "c": TASK})
    assert [problem.split()[0] for problem in found] == ["tasks.a.lable", "tasks.b.weight"]


def test_a_named_source_is_told_from_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"emotion": {"path": "data/emotion"}}
    tasks = {"a": {**TASK, "source": "emotions"}}
    (problem,) = problems(sources=named, tasks=tasks)
    assert problem.startswith('tasks.a.source = "emotions"\n    is neither in `sources` nor a file here. Did you mean')
    (tmp_path / "sets" / "emotions").mkdir(parents=True)
    assert loads({"sources": named, "tasks": tasks}, folder=tmp_path / "sets").tasks[0].source == Source("emotions")
    (tmp_path / "emotions").mkdir()
    assert loads({"sources": named, "tasks": tasks}).tasks[0].source == Source("emotions")


def test_names_with_dots_are_found_with_their_lines(tmp_path: Path) -> None:
    text = """\
        tasks:
          v1.0:
            type: classification
            source: a
            weight: -1
    """
    assert problems_of_file(tmp_path, dedent(text))[0].startswith("line 5  tasks.v1.0.weight")


def test_overrides_are_checked_like_everything_else(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("tasks:\n  mood: {type: classification, source: a.csv}\ntraining:\n  steps: 5\n", encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load(file, ["training.stpes=3", "training.steps=x"])
    told = """\
        recipe.yaml has 2 problems

        training.steps = "x"
            must be a whole number
        training.stpes
            unknown key. Did you mean `steps`?
    """
    assert str(error.value) == dedent(told).strip()


def test_a_reader_gives_nothing_for_what_is_wrong() -> None:
    reader = Reader()
    assert reader.part("sampler", "nothing", "sampler") is None
    assert reader.problems == [
        Problem("sampler", "is no sampler", '"nothing"', nearest("nothing", registry.names("sampler")))
    ]


def test_long_values_are_cut() -> None:
    (problem,) = problems(training={"steps": list(range(100))})
    assert max(map(len, problem.splitlines())) < 90
