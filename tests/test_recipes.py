"""The recipes that are shipped, and the script beside them."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motet.architectures.fitting import unfit
from motet.data.sources import as_source, read
from motet.encoders import Encoder, load_tokenizer, load_trunk
from motet.recipe import Loaded, load
from motet.tasks import Generation
from motet.tasks.base import Task

FOLDER = Path(__file__).resolve().parent.parent / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
each = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)


@pytest.fixture
def loaded(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Loaded]:
    monkeypatch.setenv("MOTET_DATA", str(data_folder))
    return lambda name: load(FOLDER / f"{name}.yaml")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / "small_encoder_decoder.py"))


@each
def test_recipe_loads_and_its_columns_are_there(
    recipe: Path, loaded: Callable[[str], Loaded], data_folder: Path
) -> None:
    found = loaded(recipe.stem)
    assert found.folder == data_folder
    for source in {task.source for task in found.experiment.tasks}:
        splits = read(as_source(source), found.folder).splits
        assert {"train", "validation", "test"} <= set(splits)
        for task in (task for task in found.experiment.tasks if task.source == source):
            assert {*task.columns, *task.where} <= set(splits["train"].column_names)


@each
def test_recipe_begins_with_what_it_is_and_how_to_run_it(recipe: Path) -> None:
    lines = recipe.read_text(encoding="utf-8").splitlines()
    comment = "\n".join(lines[: next(at for at, line in enumerate(lines) if not line.startswith("#"))])
    assert comment
    assert "MOTET_DATA" in comment
    assert max(map(len, lines)) <= 120


def test_fdu_mtl_has_a_task_for_every_domain(loaded: Callable[[str], Loaded]) -> None:
    experiment = loaded("fdu_mtl").experiment
    assert len({task.name for task in experiment.tasks}) == 16
    assert experiment.training.final == "best_mean"


def test_diverse_has_five_shapes(loaded: Callable[[str], Loaded]) -> None:
    tasks = loaded("diverse").experiment.tasks
    assert len({type(task) for task in tasks}) == len(tasks) == 5
    assert [task.headline for task in tasks] == ["spearman", "f1_positive", "span_f1", "map", "token_f1"]


def test_intent_and_slots_read_the_same(loaded: Callable[[str], Loaded]) -> None:
    intent, slots = loaded("intent_slots").experiment.tasks
    assert (intent.source, intent.inputs) == (slots.source, slots.inputs)


def test_multilingual_has_a_task_for_every_language(loaded: Callable[[str], Loaded]) -> None:
    tasks = loaded("multilingual").experiment.tasks
    assert [task.name for task in tasks] == [f"similarity-{language}" for language in ("en", "de", "es", "fr")]


@pytest.fixture
def encoder(script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """What the script makes of two small sources."""
    rows = {
        "lights": [{"source": f"turn on light {n} .", "target": f"light ( {n} ) ; on"} for n in range(40)],
        "doors": [{"source": f"open(door={n};now=nö)", "target": "the door, please"} for n in range(40)],
    }
    for name, of_source in rows.items():
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in of_source)
        (tmp_path / name / "train.jsonl").write_text(lines, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    script["main"](["lights", "doors", "--vocabulary", "300", "--width", "64", "--layers", "2"])
    return Encoder("encoders/small", max_length=16, from_scratch=True)


def test_the_script_writes_an_encoder_that_can_write(encoder: Encoder) -> None:
    tokenizer, trunk = load_tokenizer(encoder, Path(encoder.name)), load_trunk(encoder, Path(encoder.name))
    assert (trunk.family, trunk.depth, trunk.width, trunk.vocabulary) == ("encoder-decoder", 2, 64, 300)
    task: Task = Generation("describe", source="doors", text="source", longest=8)
    assert not list(unfit({"describe": task}, trunk, tokenizer, encoder.max_length))


@pytest.mark.parametrize("text", ["light ( 7 ) ; on", " spaces  stay . ", "nö, ☂ too"])
def test_texts_come_back_as_they_were(encoder: Encoder, text: str) -> None:
    tokenizer = load_tokenizer(encoder, Path(encoder.name))
    words = tokenizer(text)["input_ids"]
    assert words[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(words, skip_special_tokens=True) == text


def test_a_pair_ends_each_of_its_texts(encoder: Encoder) -> None:
    tokenizer = load_tokenizer(encoder, Path(encoder.name))
    assert tokenizer("light", "door")["input_ids"].count(tokenizer.eos_token_id) == 2


def test_generation_names_the_folder_that_the_script_writes(
    loaded: Callable[[str], Loaded], script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = loaded("generation").experiment
    assert experiment.encoder.from_scratch
    monkeypatch.chdir(tmp_path)
    script["main"]([as_source(task.source).name for task in experiment.tasks])
    tokenizer = load_tokenizer(experiment.encoder, Path(experiment.encoder.name))
    assert len(tokenizer) == 2000
