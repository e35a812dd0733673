"""Texts that are written: runs of every family of trunks, and every way to hold what it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.encoders.conftest import make_bart, make_gpt2, make_llama, make_t5
from tests.training.conftest import Toys, require_same_model, source

from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import load
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage
from motet.training.convergence import Patience
from motet.training.experiment import Experiment, Training
from motet.training.plan import prepare
from motet.training.responses import Distill

MAKERS = {"t5": make_t5, "bart": make_bart, "gpt2": make_gpt2, "llama": make_llama}
SHARED = source(train=30, validation=12)
TASKS: tuple[Task, ...] = (
    Generation("echo", source=SHARED, text="other", target="text", longest=12, top=0),
    Classification("mood", source=SHARED, text="other", label="mood"),
)


def patience(teacher: Any = "recorded") -> Patience:
    """Calls the task that writes converged at its second check; the other one goes on to learn."""
    then = Distill(teacher=teacher)
    learns = {"mood": {"min_epochs": 1e6, "then": Distill()}}
    at_once = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False)
    return replace(at_once, then=then, tasks=learns)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            torch.manual_seed(5)
            for part in MAKERS[kind]():
                part.save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.fixture
def make(folders: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Toys]:
    return lambda kind: Toys(folders(kind), tmp_path, TASKS)


def kinds_of(run: Any, task: str) -> list[str]:
    return [event["kinds"][task] for event in run.folder.events() if event["event"] == "step"]


@pytest.mark.parametrize("kind", MAKERS)
def test_every_family_writes_and_chooses_in_one_run(make: Callable[[str], Toys], kind: str) -> None:
    run = make(kind).run(patience(), steps=9, check_every=3, learning_rate=1e-9)
    assert (kinds_of(run, "echo")[-1], kinds_of(run, "mood")[-1]) == ("distill", "truth")
    answer = load(run.folder.path).predict("paris is warm")
    assert set(answer) == {"echo", "mood"}
    assert isinstance(answer["echo"]["text"], str)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_decoder_goes_on_with_unlabelled_text(make: Callable[[str], Toys], kind: str) -> None:
    tasks = (CausalLanguage("words", source=SHARED, top=4), TASKS[1])
    run = make(kind).run(patience(), tasks=tasks, steps=9, check_every=3, learning_rate=1e-9)
    assert kinds_of(run, "words")[-1] == "distill"
    assert set(load(run.folder.path).predict("paris is warm")) == {"mood"}


@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_all_logits_recorded_teach_what_an_online_teacher_does(make: Callable[[str], Toys], kind: str) -> None:
    toys = make(kind)
    losses = []
    for teacher in ("recorded", "online"):
        run = toys.run(patience(teacher), steps=6, check_every=2, learning_rate=1e-9)
        losses.append([e["losses"]["echo"] for e in run.folder.events() if e["event"] == "step"])
        assert "distill" in kinds_of(run, "echo")
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5, rtol=1e-5)


def test_a_teacher_that_writes_gives_texts_to_learn(make: Callable[[str], Toys]) -> None:
    run = make("t5").run(patience("written"), steps=9, check_every=3, learning_rate=1e-9)
    assert kinds_of(run, "echo")[-1] == "distill"
    (recorded,) = [e for e in run.folder.events() if e["event"] == "soft_labels" and e["task"] == "echo"]
    assert recorded["rows"] == 30


def test_only_tasks_that_write_have_a_teacher_that_writes() -> None:
    with pytest.raises(RecipeError, match=r"convergence.then.teacher of mood.*"):
        Experiment(tasks=(TASKS[1],), convergence=Patience(then=Distill(teacher="written")))


@pytest.mark.parametrize("combine", ["predictions", "weights"])
def test_the_likeliest_words_of_several_teachers_have_no_mean(combine: Any) -> None:
    rule = Patience(then=Distill(snapshots=2, combine=combine))
    if combine == "weights":
        Experiment(tasks=TASKS, convergence=rule)
        return
    with pytest.raises(RecipeError, match=r"convergence.then.combine of echo"):
        Experiment(tasks=TASKS, convergence=rule)


@pytest.mark.parametrize("teacher", ["recorded", "written"])
def test_an_interrupted_run_goes_on_exactly(make: Callable[[str], Toys], teacher: str) -> None:
    toys = make("t5")
    whole = toys.run(patience(teacher), steps=8, check_every=2, learning_rate=1e-9)

    experiment = toys.experiment(patience(teacher), steps=8, check_every=2, learning_rate=1e-9)
    cut = toys.goes_on(experiment, "check", 6)
    require_same_model(cut, whole)


def test_texts_too_long_to_write_are_told_with_their_rows(folders: Callable[[str], Path]) -> None:
    task = Generation("echo", source=SHARED, text="other", target="text", longest=2)
    with pytest.raises(Exception, match=r"tasks.echo.longest = text\n.*longer than 2 sub-words \(0-0 has 8"):
        prepare(Experiment(tasks=(task,), encoder=Encoder(str(folders("t5")), max_length=32), training=Training()))


def test_an_encoder_cannot_write(tiny_encoder: Path) -> None:
    with pytest.raises(Exception, match=r"an encoder-decoder or a decoder|no sub-word that ends one"):
        prepare(Experiment(tasks=(TASKS[0],), encoder=Encoder(str(tiny_encoder), max_length=32), training=Training()))
