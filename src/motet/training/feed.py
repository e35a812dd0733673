"""The rows of every step: the schedule says which tasks, the sampler how much of each, the streams which rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from motet.data.batches import Chunk, Padding, training_chunks
from motet.data.corpus import Corpus
from motet.data.streams import streams_of
from motet.training.experiment import Experiment

__all__ = ["Feed"]


class Feed:
    """Draws the global batch of every step; equal in all processes.

    An *epoch* of a task is one pass over its own training rows. Rows that two tasks label count for both.

    Args:
        corpus: the examples.
        experiment: for its sampler, token budget and seed.
        padding: how rows are put into chunks.
        shards: processes that share the work.
    """

    def __init__(self, corpus: Corpus, experiment: Experiment, padding: Padding, shards: int = 1) -> None:
        training = experiment.training
        self._examples = corpus.examples("train")
        self._padding = padding
        self._shards = shards
        self._hides = any(task.inputs.hidden for task in corpus.tasks.values())
        self._single = training.batches == "single"
        self.streams = {stream.name: stream for stream in streams_of(corpus, training.seed)}
        self.shares = experiment.sampler.shares({name: len(stream) for name, stream in self.streams.items()})
        mean_length = sum(self.shares[name] * stream.mean_length for name, stream in self.streams.items())
        self.rows_per_step = training.tokens_per_batch / mean_length
        self._owed = dict.fromkeys(self.streams, 0.0)
        self._random = np.random.default_rng([training.seed, 3])
        self.drawn = dict.fromkeys(corpus.tasks, 0)

    def next(self, live: Collection[str]) -> list[Chunk]:
        """The chunks of the next step.

        Args:
            live: the tasks that take part; rows that only others label are not drawn.
        """
        drawn = []
        for name, count in self._counts(live).items():
            stream = self.streams[name]
            owners = {task: self._examples[task] for task in stream.tasks if task in live}
            if owners and count:
                rows = stream.draw(count)
                drawn.append((owners, rows))
                for task, examples in owners.items():
                    self.drawn[task] += examples.count(rows)
        salt = int(self._random.integers(2**32)) if self._hides else 0
        return training_chunks(drawn, self._padding, shards=self._shards, salt=salt)

    def _counts(self, live: Collection[str]) -> dict[str, int]:
        """Examples of every stream; what a step rounds off is made up by the next."""
        open_ = [name for name, stream in self.streams.items() if any(task in live for task in stream.tasks)]
        if self._single:
            chances = np.asarray([self.shares[name] for name in open_])
            chosen = open_[int(self._random.choice(len(open_), p=chances / chances.sum()))]
            return {chosen: max(1, round(self.rows_per_step))}
        counts = {}
        for name in open_:
            self._owed[name] += self.rows_per_step * self.shares[name]
            counts[name] = max(0, int(self._owed[name] + 1e-9))
            self._owed[name] -= counts[name]
        if not any(counts.values()):
            neediest = max(open_, key=self._owed.__getitem__)
            counts[neediest], self._owed[neediest] = 1, self._owed[neediest] - 1
        return counts

    def epochs(self, task: str) -> float:
        """Passes over a task's own training rows so far."""
        return self.drawn[task] / len(self._examples[task])

    def task_rows(self) -> dict[str, float]:
        """Examples of a step that each task labels, on average; a row that two tasks label counts for both."""
        return {
            task: self.rows_per_step * self.shares[name] * len(self._examples[task]) / len(stream)
            for name, stream in self.streams.items()
            for task in stream.tasks
        }

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        return {
            "streams": {name: stream.state() for name, stream in self.streams.items()},
            "owed": dict(self._owed),
            "random": self._random.bit_generator.state,
            "drawn": dict(self.drawn),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data."""
        for name, stream in self.streams.items():
            stream.restore(state["streams"][name])
        self._owed = dict(state["owed"])
        self._random.bit_generator.state = state["random"]
        self.drawn = dict(state["drawn"])
