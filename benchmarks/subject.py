"""What is measured: a run of motet, set up as `motet train` does and stepped by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from motet.architectures.base import Architecture
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.balancing.base import Balance
from motet.balancing.losses.sum import Sum
from motet.data.batches import Chunk
from motet.data.docstrings import tasks
from motet.data.examples import Examples
from motet.encoders.loading import Encoder
from motet.recipe import load
from motet.runs import EventLog
from motet.sampling.base import Sampler
from motet.sampling.temperature import Temperature
from motet.tasks.base import Task
from motet.training.distillation import RecordedTeacher, SoftLabels
from motet.training.evaluation import Predictions
from motet.training.experiment import Experiment, Training
from motet.training.objective import Held
from motet.training.plan import Prepared, prepare
from motet.training.responses import Distill
from motet.training.run import trainer_of
from motet.training.trainer import Trainer

__all__ = ["RECIPE", "Case", "Choice", "Chosen", "Precision", "Subject", "opened"]

Precision = Literal["fp32", "bf16"]

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "similar.yaml"


@dataclass(frozen=True)
class Choice:
    """Which run.

    Args:
        source: `docstrings`, or the path of a recipe.
        data: where the sources of a recipe are; None for the bundled ones.
        precision: `fp32` or `bf16`.
        layers: of the default encoder; None for all.
    """

    source: str
    data: Path | None
    precision: Precision
    layers: int | None = None

    @property
    def name(self) -> str:
        """A word for tables."""
        return Path(self.source).stem

    def experiment(self) -> Experiment:
        """The experiment, with the default encoder and batches that are single steps."""
        if self.source == "docstrings":
            found = Experiment(tasks=tuple(tasks()), training=Training())
        else:
            found = load(self.source).experiment
        encoder = Encoder(layers=self.layers, max_length=found.encoder.max_length)
        training = replace(found.training, precision=self.precision, accumulate=1)
        return replace(found, encoder=encoder, training=training)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Tasks on the bundled docstrings, with the parts that are to be measured.

    Args:
        name: a word for tables.
        tasks: those that learn.
        precision: of the matrix products.
        layers: of the default encoder; None for all.
        tokens: of a step.
        architecture: around the encoder.
        balance: of their losses or gradients.
        sampler: of the tasks.
    """

    name: str
    tasks: tuple[Task, ...]
    precision: Precision
    layers: int | None
    tokens: int = 1024
    architecture: Architecture = field(default_factory=HardSharing)
    balance: Balance = field(default_factory=Sum)
    sampler: Sampler = field(default_factory=Temperature)
    data: None = None

    def experiment(self) -> Experiment:
        """The run."""
        return Experiment(
            tasks=self.tasks,
            encoder=Encoder(layers=self.layers),
            architecture=self.architecture,
            balance=self.balance,
            sampler=self.sampler,
            training=Training(tokens_per_batch=self.tokens, precision=self.precision),
        )


class Chosen(Protocol):
    """What there is to know of a run before it is set up."""

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> Path | None: ...

    def experiment(self) -> Experiment: ...


@dataclass(frozen=True)
class Subject:
    """A run that is ready to step.

    Args:
        choice: which.
        prepared: data, model and devices.
        trainer: takes the steps.
        folder: for the files of the run.
    """

    choice: Chosen
    prepared: Prepared
    trainer: Trainer
    folder: Path

    def step(self, count: int) -> None:
        """Take some steps."""
        for _ in range(count):
            self.trainer.step()

    def coming(self, count: int) -> list[list[Chunk]]:
        """The chunks of the next steps, which are drawn again when the steps are taken."""
        feed = self.trainer.feed
        before = feed.state()
        steps = [feed.next(self.trainer.live) for _ in range(count)]
        feed.restore(before)
        return steps

    def held(self) -> dict[str, Held]:
        """Every task held by recorded labels of random values, which cost what real ones cost."""
        return {name: self._held(name) for name in self.prepared.corpus.tasks}

    def _held(self, name: str) -> Held:
        task, examples = self.prepared.corpus.tasks[name], self.prepared.corpus.examples("train")[name]
        lengths = _units(task, examples)
        logits = np.random.default_rng(0).standard_normal((int(lengths.sum()), task.outputs), dtype=np.float32)
        path = self.folder / "soft_labels" / f"{name}.arrow"
        SoftLabels.write(path, Predictions(logits, lengths), examples.ids, {"task": name})
        return Held(Distill(), RecordedTeacher(SoftLabels.read(path, name, examples)))

    def some(self, split: str, count: int) -> Mapping[str, Examples]:
        """A few examples of every task."""
        return {name: of_task.take(count, seed=0) for name, of_task in self.prepared.corpus.examples(split).items()}


@contextmanager
def opened(choice: Chosen, folder: Path) -> Iterator[Subject]:
    """Set the run up; its log is closed at the end."""
    prepared = prepare(choice.experiment(), choice.data)
    trainer = trainer_of(prepared, EventLog(folder / "events.jsonl"))
    try:
        yield Subject(choice, prepared, trainer, folder)
    finally:
        trainer.journal.close()


def _units(task: Task, examples: Examples) -> np.ndarray:
    words = examples.tokens.words
    if task.level == "text" or words is None:
        return np.ones(len(examples), dtype=np.int64)
    return np.asarray(words.lengths[examples.rows], dtype=np.int64)
