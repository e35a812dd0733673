"""Toy tasks of every answer shape on generated sentences, and runs of them that take a second."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders import Encoder
from motet.model import load
from motet.runs import Event
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.language import MaskedLanguage
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.ranking import Ranking
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging
from motet.training.convergence import Convergence, Never
from motet.training.experiment import Experiment, Training
from motet.training.run import Run, resume, start

WORDS = ("good", "bad", "film", "train", "rain", "heart", "dry", "cold", "nine", "slow", "warm", "paris", "london")


def rows(count: int, seed: int, noise: float = 0.0) -> list[dict[str, Any]]:
    """Sentences, whether `good` is among the words, how many words there are, which are places; some labels wrong.

    And what else may be asked about them: which of three words they have, whether they are long, the first place in a
    passage of several windows, and which of three sentences has a word.
    """
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = [draw.choice(WORDS) for _ in range(draw.randint(2, 9))]
        mood = "yes" if "good" in words else "no"
        if draw.random() < noise:
            mood = draw.choice(["yes", "no"])
        tags = ["B-place" if word in ("paris", "london") else "O" for word in words]
        text, other = " ".join(words), draw.choice(WORDS)
        made.append(
            {
                "id": f"{seed}-{number}",
                "text": text,
                "mood": mood,
                "other": other,
                "within": "yes" if other in words else "no",
                "count": float(len(words)),
                "tokens": words,
                "tags": tags,
                "topics": sorted({"film", "good", "rain"}.intersection(words)),
                "size": "short" if len(words) < 4 else "middle" if len(words) < 7 else "long",
                "passage": " ".join(words * 4),
                "places": _first_place(words),
                "query": f"{number // 3}",
                "relevance": float(other in words),
            }
        )
    return made


def _first_place(words: list[str]) -> list[dict[str, Any]]:
    at = next((at for at, word in enumerate(words) if word in ("paris", "london")), None)
    return [] if at is None else [{"text": words[at], "start": len("".join(f"{word} " for word in words[:at]))}]


def source(train: int = 60, validation: int = 40, seed: int = 0, noise: float = 0.0) -> dict[str, list[dict[str, Any]]]:
    return {
        "train": rows(train, seed, noise),
        "validation": rows(validation, seed + 1000),
        "test": rows(30, seed + 2000),
    }


@pytest.fixture(scope="session")
def toy_tasks() -> tuple[Task, ...]:
    """Those of `mixed_tasks`."""
    return mixed_tasks()


def mixed_tasks() -> tuple[Task, ...]:
    """A choice, a number, a choice about two texts and tags; the first two read the same rows."""
    shared = source()
    return (
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
        Classification("within", source=source(seed=7), text=("text", "other"), label="within"),
        Tagging("places", source=source(train=40, seed=8), tokens="tokens", labels="tags"),
    )


@pytest.fixture(scope="session")
def shape_tasks() -> tuple[Task, ...]:
    """One task of every answer shape that has several rows, or several or no numbers, an example."""
    shared = source(train=36, validation=18, seed=5)
    return (
        MultiLabel("topics", source=shared, labels="topics"),
        Ordinal("size", source=shared, label="size", classes=("short", "middle", "long")),
        Spans("where", source=shared, question="other", context="passage", answers="places", stride=4),
        Ranking("order", source=shared, query="other", candidate="text", relevance="relevance", query_id="query"),
        MaskedLanguage("words", source=shared),
    )


@dataclass
class Toys:
    """Makes small experiments and runs them."""

    encoder: Path
    folder: Path
    tasks: tuple[Task, ...]
    dropout: float = 0.0
    runs: int = 0

    def experiment(self, convergence: Convergence | None = None, **training: Any) -> Experiment:
        settings = {"steps": 12, "tokens_per_batch": 160, "check_every": 3, "log_every": 1, "learning_rate": 3e-3}
        training.setdefault("architecture", HardSharing(dropout=self.dropout))
        parts = {
            key: training.pop(key) for key in ("schedule", "sampler", "architecture", "balance") if key in training
        }
        return Experiment(
            tasks=training.pop("tasks", self.tasks),
            encoder=Encoder(str(self.encoder), max_length=32),
            convergence=convergence or Never(),
            training=Training(**{**settings, "precision": "fp32", "device": "cpu", **training}),
            **parts,
        )

    def run(self, convergence: Convergence | None = None, **training: Any) -> Run:
        return self.start(self.experiment(convergence, **training))

    def start(self, experiment: Experiment) -> Run:
        self.runs += 1
        return start(experiment, self.folder / f"run{self.runs}")

    def goes_on(self, experiment: Experiment, event: str, step: int) -> Run:
        """A run that is broken off at an event of a step, and resumed."""
        self.runs += 1
        folder = self.folder / f"run{self.runs}"

        def stop(told: Event) -> None:
            if (told["event"], told.get("step")) == (event, step):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            start(experiment, folder, listeners=[stop])
        return resume(folder, experiment)


def require_same_model(one: Run, other: Run) -> None:
    """The same weights, bit for bit."""
    again = load(one.folder.path).state_dict()
    for name, weight in load(other.folder.path).state_dict().items():
        torch.testing.assert_close(again[name], weight, rtol=0, atol=0, msg=name)


@pytest.fixture(scope="session")
def make_toys(toy_tasks: tuple[Task, ...]) -> Callable[[Path, Path], Toys]:
    """Makes toys that write into a folder."""
    return lambda encoder, folder: Toys(encoder, folder, toy_tasks)


@pytest.fixture
def toys(tiny_encoder: Path, tmp_path: Path, toy_tasks: tuple[Task, ...]) -> Toys:
    return Toys(tiny_encoder, tmp_path, toy_tasks)


@pytest.fixture
def shape_toys(tiny_encoder: Path, tmp_path: Path, shape_tasks: tuple[Task, ...]) -> Toys:
    return Toys(tiny_encoder, tmp_path, shape_tasks)


@pytest.fixture
def dropout_toys(make_tiny_encoder: Callable[[float], Path], tmp_path: Path, toy_tasks: tuple[Task, ...]) -> Toys:
    """The same with dropout, so that generators matter."""
    return Toys(make_tiny_encoder(0.1), tmp_path, toy_tasks, dropout=0.1)
