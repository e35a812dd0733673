"""The rows of every step: the schedule says which tasks, the sampler how much of each, the streams which rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from motet.data.batches import Chunk, Padding, training_chunks
from motet.data.corpus import Corpus
from motet.data.examples import Examples
from motet.data.streams import Stream, streams_of
from motet.metrics.base import METRICS
from motet.sampling.base import Epoch, Supply
from motet.training.baselines import monitored
from motet.training.experiment import Experiment

__all__ = ["Entropies", "Feed"]

Owners = Mapping[str, Examples]
Drawn = dict[str, tuple[Owners, np.ndarray]]

Entropies = Callable[[Owners, np.ndarray], Mapping[str, np.ndarray]]
"""Of the model's predictions, for each of some tasks, for some rows of a token table; nan where a row has no label."""


class Feed:
    """Draws the global batch of every step; equal in all processes.

    An *epoch* of a task is one pass over its own training rows. Rows that two tasks label count for both.

    Args:
        corpus: the examples.
        experiment: for its sampler, token budget and seed.
        padding: how rows are put into chunks.
        shards: processes that share the work.

    Attributes:
        streams: the sets of rows that are drawn from; one is *open* while a task that it serves takes part.
        mixing: says whose rows a step gets.
        drawn: examples of every task so far.
        taken: examples of every stream so far.
        planned: passes over the rows of all streams together that the steps come to, with the shares of the first.
    """

    def __init__(self, corpus: Corpus, experiment: Experiment, padding: Padding, shards: int = 1) -> None:
        training = experiment.training
        self._examples = corpus.examples("train")
        self._validation = corpus.examples("validation")
        self._padding = padding
        self._shards = shards
        self._hides = any(task.inputs.hidden for task in corpus.tasks.values())
        self._single = training.batches == "single"
        self._apart = experiment.balance.apart
        self._tokens = training.tokens_per_batch
        self.streams = {stream.name: stream for stream in streams_of(corpus, training.seed)}
        supplies = {name: _supply(stream, corpus, experiment) for name, stream in self.streams.items()}
        self.mixing = experiment.sampler.build(supplies, training.seed)
        self._owed = dict.fromkeys(self.streams, 0.0)
        self.drawn = dict.fromkeys(corpus.tasks, 0)
        self.taken = dict.fromkeys(self.streams, 0)
        self.planned = 0.0  # shares ask for it, but those of the first step do not depend on it
        self.planned = training.steps * training.accumulate * self.rows_per_step / self._size

    @property
    def epoch(self) -> Epoch:
        """How far the mixture is: passes over the rows of all streams together, the first being 1."""
        return Epoch(1 + sum(self.taken.values()) / self._size, 1 + self.planned)

    @property
    def _size(self) -> int:
        return sum(map(len, self.streams.values()))

    @property
    def shares(self) -> dict[str, float]:
        """The share of every stream in the next step."""
        return self.mixing.shares(self.epoch)

    @property
    def rows_per_step(self) -> float:
        """Examples in the next step, if all streams are open."""
        shares = self.shares
        return self._tokens / sum(shares[name] * stream.mean_length for name, stream in self.streams.items())

    def next(
        self,
        live: Collection[str],
        entropies: Entropies | None = None,
        thinned: Mapping[str, float] | None = None,
    ) -> list[Chunk]:
        """The chunks of the next step.

        Args:
            live: the tasks that take part; rows that only others label are not drawn.
            entropies: how sure the model is of rows; for a sampler that chooses among more than a step needs.
            thinned: of what the sampler gives them, the part that some tasks take; the others share the rest.
        """
        counts = {name: count for name, count in self._counts(live, thinned or {}).items() if count}
        drawn = {
            name: (self.owners(name, live), self.streams[name].draw(count * self.mixing.pool))
            for name, count in counts.items()
        }
        if self.mixing.pool > 1:
            drawn = self._chosen(drawn, sum(counts.values()), entropies)
        for name, (owners, rows) in drawn.items():
            self.taken[name] += counts[name] if self.mixing.pool == 1 else len(rows)
            for task, examples in owners.items():
                self.drawn[task] += examples.count(rows)
        return self._chunks(drawn)

    def owners(self, stream: str, live: Collection[str]) -> Owners:
        """The training examples of the tasks of a stream that take part."""
        return {task: self._examples[task] for task in self.streams[stream].tasks if task in live}

    def open(self, live: Collection[str]) -> list[str]:
        """The streams that some task draws from."""
        return [name for name, stream in self.streams.items() if any(task in live for task in stream.tasks)]

    def due(self, step: int) -> bool:
        """Whether the sampler asks for rewards before a step."""
        return bool(step and self.mixing.every and step % self.mixing.every == 0)

    def trial(self, stream: str, live: Collection[str]) -> list[Chunk]:
        """As many rows of one stream as a step has, drawn apart: the streams stay where they are."""
        rows = self.streams[stream].some(max(1, round(self.rows_per_step)), self.mixing.random)
        return self._chunks({stream: (self.owners(stream, live), rows)})

    def held_out(self, live: Collection[str]) -> list[Chunk]:
        """About as many validation rows as a step has, the same number of each task."""
        count, drawn = max(1, round(self.rows_per_step / len(live))), {}
        for task in live:
            part = self._validation[task].take(count, int(self.mixing.random.integers(2**32)))
            drawn[task] = ({task: part}, part.rows)
        return self._chunks(drawn)

    def _chunks(self, drawn: Mapping[str, tuple[Owners, np.ndarray]]) -> list[Chunk]:
        salt = int(self.mixing.random.integers(2**32)) if self._hides else 0
        return training_chunks(list(drawn.values()), self._padding, shards=self._shards, salt=salt, apart=self._apart)

    def _chosen(self, drawn: Drawn, count: int, entropies: Entropies | None) -> Drawn:
        """The rows of a pool that the sampler keeps."""
        if entropies is None:
            raise ValueError("this sampler has to be told how sure the model is of rows")
        asked = {name: entropies(owners, rows) for name, (owners, rows) in drawn.items()}
        kept = self.mixing.keep(asked, count)
        return {name: (owners, rows[kept[name]]) for name, (owners, rows) in drawn.items() if len(kept[name])}

    def _shares(self, live: Collection[str], thinned: Mapping[str, float]) -> dict[str, float]:
        """The share of every stream, less what streams of thinned tasks alone leave to the others."""
        if not thinned:
            return self.shares
        shares, candidates = self.shares, self.open(live)
        parts = {name: max(thinned.get(task, 1.0) for task in self.owners(name, live)) for name in candidates}
        left = sum(shares[name] * (1 - part) for name, part in parts.items())
        others = sum(shares[name] for name, part in parts.items() if part == 1)
        if not left or not others:
            return shares
        return {
            name: share * (1 + left / others if parts.get(name, 1.0) == 1 else parts[name])
            for name, share in shares.items()
        }

    def _counts(self, live: Collection[str], thinned: Mapping[str, float]) -> dict[str, int]:
        """Examples of every stream; what a step rounds off is made up by the next."""
        candidates, shares, rows = self.open(live), self._shares(live, thinned), self.rows_per_step
        if self._single:
            chosen = self.mixing.pick(candidates, shares)
            self.mixing.pulled({chosen: 1.0})
            return {chosen: max(1, round(rows))}
        self.mixing.pulled({name: shares[name] for name in candidates})
        counts = {}
        for name in candidates:
            self._owed[name] += rows * shares[name]
            counts[name] = max(0, int(self._owed[name] + 1e-9))
            self._owed[name] -= counts[name]
        if not any(counts.values()):
            neediest = max(candidates, key=self._owed.__getitem__)
            counts[neediest], self._owed[neediest] = 1, self._owed[neediest] - 1
        return counts

    def observe(self, scores: Mapping[str, float]) -> None:
        """Hear the validation scores of tasks, by the metrics that they are judged by."""
        self.mixing.observe(scores)

    def epochs(self, task: str) -> float:
        """Passes over a task's own training rows so far."""
        return self.drawn[task] / len(self._examples[task])

    def drawn_shares(self) -> dict[str, float]:
        """The part of all examples so far that each task labels; examples that two tasks label count for both."""
        total = max(1, sum(self.taken.values()))
        return {task: count / total for task, count in self.drawn.items()}

    def task_rows(self) -> dict[str, float]:
        """Examples of a step that each task labels, on average; a row that two tasks label counts for both."""
        shares, rows = self.shares, self.rows_per_step
        return {
            task: rows * shares[name] * len(self._examples[task]) / len(stream)
            for name, stream in self.streams.items()
            for task in stream.tasks
        }

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        return {
            "streams": {name: stream.state() for name, stream in self.streams.items()},
            "mixing": self.mixing.state(),
            "owed": dict(self._owed),
            "drawn": dict(self.drawn),
            "taken": dict(self.taken),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data."""
        for name, stream in self.streams.items():
            stream.restore(state["streams"][name])
        self.mixing.restore(state["mixing"])
        self._owed = dict(state["owed"])
        self.recount(state)

    def recount(self, state: Mapping[str, Any]) -> None:
        """Count examples from saved data on; rows and generators go on as they are."""
        self.drawn, self.taken = dict(state["drawn"]), dict(state["taken"])


def _supply(stream: Stream, corpus: Corpus, experiment: Experiment) -> Supply:
    tasks = {name: corpus.tasks[name] for name in stream.tasks}
    metrics = {name: monitored(task, experiment.convergence.of(name)) for name, task in tasks.items()}
    return Supply(
        examples=len(stream),
        tasks=stream.tasks,
        falling=frozenset(name for name, metric in metrics.items() if not METRICS[metric].higher_is_better),
        classes={name: task.outputs for name, task in tasks.items() if task.level in ("text", "word")},
    )
