"""motet itself, as `motet train` runs it.

    python benchmarks/peers/with_motet.py DATA OUT --tokens 20000
    python benchmarks/peers/with_motet.py DATA OUT --tokens 20000 --recipe recipes/similar.yaml

The tasks and the encoder are those of the exported folder; everything else is as the recipe says, or the default. So
tasks converge and are held, for which validation is looked at during training: the seconds of a step are counted as
those of the peers are, and what lies between the first and the last of them besides is told apart, as `checks`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from given import Given, Row, Task, answers, parser, read, steps, write
from torch import Tensor, tensor

from motet.encoders.loading import Encoder
from motet.model import MultiTaskModel
from motet.recipe import load
from motet.tasks.classification import Classification
from motet.training.experiment import Experiment
from motet.training.run import start
from motet.training.trainer import Trainer

__all__ = ["experiment", "run"]


@dataclass
class Clock:
    """Seconds of all steps, on the wall and of the processor, and from the first to the last one."""

    seconds: float = 0.0
    cpu: float = 0.0
    began: float = 0.0
    ended: float = 0.0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Time one step."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.began = self.began or wall
        yield
        self.ended = time.perf_counter()
        self.seconds += self.ended - wall
        self.cpu += time.process_time() - cpu

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Time the steps of every trainer."""
        take = Trainer.step

        def timed(trainer: Trainer) -> None:
            with self.step():
                take(trainer)

        with patch.object(Trainer, "step", timed):
            yield


def experiment(given: Given, recipe: Path | None, training: Mapping[str, Any]) -> Experiment:
    """That of a recipe, or the default one, with the tasks and the encoder that are given."""
    tasks = tuple(_task(task) for task in given.tasks)
    found = Experiment(tasks=tasks) if recipe is None else load(recipe).experiment
    encoder = Encoder(given.encoder, max_length=given.max_length)
    return replace(found, tasks=tasks, encoder=encoder, training=replace(found.training, **training))


def _task(task: Task) -> Classification:
    text = ("first", "second") if task.pair else "text"
    return Classification(
        task.name, source=str(task.folder), text=text, classes=task.labels, metric=task.metric, positive=task.positive
    )


def run(found: Experiment, given: Given, out: Path) -> None:
    """Train, answer, and write."""
    clock = Clock()
    with clock.timing():
        done = start(found, out / "run")
    events = done.folder.events()
    told = [event for event in events if event["event"] == "step"]
    measured = {
        "real": sum(event["tokens"] for event in told),
        "padded": sum(event["padded"] for event in told),
        "rows": sum(sum(event["rows"].values()) for event in told),
        "steps": next(event["step"] for event in reversed(events) if event["event"] == "end"),
        "seconds": clock.seconds,
        "cpu": clock.cpu,
        "checks": clock.ended - clock.began - clock.seconds,
    }
    write(out, "motet", measured, answers(given, _logits(done.model())))


def _logits(model: MultiTaskModel) -> Any:
    def logits(task: Task, rows: list[Row]) -> Tensor:
        texts: list[Any] = [row.texts if task.pair else row.texts[0] for row in rows]
        scores = [answer[task.name]["scores"] for answer in model.predict(texts, [task.name])]
        return tensor([[of[label] for label in task.labels] for of in scores])

    return logits


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    found = parser(__doc__)
    found.add_argument("--recipe", type=Path, help="for all but tasks and encoder")
    found.add_argument("--step", type=int, help="tokens of a step; by default as the recipe says, or motet's own")
    options = found.parse_args(arguments)
    given = read(options.data)
    tokens = options.step or experiment(given, options.recipe, {}).training.tokens_per_batch
    training = {
        "steps": steps(options.tokens, tokens),
        "max_tokens": None,
        "max_seconds": None,
        "tokens_per_batch": tokens,
        "accumulate": 1,
        "precision": options.precision,
        "learning_rate": options.rate,
        "head_learning_rate": None,
        "seed": options.seed,
    }
    run(experiment(given, options.recipe, training), given, options.out)


if __name__ == "__main__":
    main()
