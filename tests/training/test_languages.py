"""Languages and then tasks, in one run or in two, and a task in a language that it was not trained in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from tests.training.conftest import Toys, source

from motet.architectures.modular.mad_x import MADX
from motet.encoders import Encoder
from motet.model import load
from motet.tasks.classification import Classification
from motet.tasks.language import MaskedLanguage
from motet.training.beginning import Start
from motet.training.schedules.phases import Phase, Phases


def german(count: int = 30) -> dict[str, Any]:
    return {"de": source(train=count, validation=12, seed=3), "en": source(train=count, validation=12, seed=4)}


def test_phases_learn_languages_first_and_then_keep_them(toys: Toys) -> None:
    """Over a second phase the adapters of the languages do not move, to the last bit."""
    rows = german()
    words = tuple(MaskedLanguage(f"words-{name}", source=rows[name]) for name in ("en", "de"))
    mood = Classification("mood", source=rows["en"], text="text", label="mood")
    part = MADX(languages={"en": ("words-en", "mood"), "de": ("words-de",)})
    ends = {}
    for steps in (4, 8):
        schedule = Phases(phases=(Phase(tasks=("words-en", "words-de"), steps=4), Phase(tasks=("mood",))))
        wanted = toys.experiment(tasks=(*words, mood), architecture=part, schedule=schedule, steps=8, decay="constant")
        wanted = replace(wanted, training=replace(wanted.training, steps=steps, warmup=0.0))
        ends[steps] = load(toys.start(wanted).folder.path).state_dict()
    for name, weight in ends[4].items():
        if "languages" in name:
            assert torch.equal(ends[8][name], weight), name
    assert [
        name for name, weight in ends[4].items() if ".of.of_mood" in name and not torch.equal(ends[8][name], weight)
    ]


def test_a_run_of_languages_and_then_one_of_a_task(toys: Toys) -> None:
    """Zero-shot: the task learns in English, and answers with the adapters of German."""
    rows = german()
    words = tuple(MaskedLanguage(f"words-{name}", source=rows[name]) for name in ("en", "de"))
    mood = Classification("mood", source=rows["en"], text="text", label="mood")
    languages = {"en": ("words-en",), "de": ("words-de",)}
    first = toys.start(toys.experiment(tasks=words, architecture=MADX(languages=languages), steps=4))
    second = toys.experiment(tasks=(mood,), architecture=MADX(languages={"en": ("mood",)}), steps=4)
    second = replace(second, encoder=Encoder(), start_from=Start(str(first.folder.path)))
    model = load(toys.start(second).folder.path)
    assert list(model.tasks) == ["words-en", "words-de", "mood"]
    arrangement: Any = model.arrangement
    assert arrangement.languages == {"words-en": "en", "words-de": "de", "mood": "en"}
    before = load(first.folder.path).state_dict()
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in before.items())
    english = model.predict("good film", ["mood"])
    arrangement.speak("mood", "de")
    assert model.predict("good film", ["mood"]) != english
