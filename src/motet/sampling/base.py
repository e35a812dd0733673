"""What every sampler is: the recipe of a mixing, which says whose rows the next batch is made of.

A *stream* is a set of training rows with the tasks that read them; most serve one task. Shares are given to streams.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from motet.errors import Problem

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["Epoch", "Mixing", "Sampler", "Supply", "normalised"]


@dataclass(frozen=True)
class Supply:
    """What a sampler may know about a stream before the first step.

    Args:
        examples: how many it holds.
        tasks: those it serves.
        falling: those of them whose validation score falls as they are learned.
        classes: how many each of them chooses between, where it does.
    """

    examples: int
    tasks: tuple[str, ...]
    falling: frozenset[str] = frozenset()
    classes: Mapping[str, int] = field(default_factory=dict)


class Epoch(NamedTuple):
    """How far the mixture is: an epoch of it is over when all streams together have drawn as many rows as they hold.

    Args:
        now: counted from 1, and not rounded: 1.5 is half of the first epoch.
        last: where the steps of the run come to, as far as the first shares tell.

    Example:
        >>> Epoch(now=2, last=5).passed
        0.25
    """

    now: float
    last: float

    @property
    def passed(self) -> float:
        """The part of the run that is over, 0 to 1."""
        return min(1.0, (self.now - 1) / (self.last - 1)) if self.last > 1 else 0.0


class Mixing(ABC):
    """A sampler at work: saved with every snapshot, and equal in all processes.

    Args:
        streams: what is known about each, by name.
        seed: of the mixing's own generator.

    Attributes:
        pool: rows that are drawn for one that is trained on; above 1, `keep` chooses among them.
        every: steps between two times that `reward` is called; 0 is never.
        pace: the length of the virtual step of which rewards are told, as a learning rate.
        random: the generator.
    """

    pool: int = 1
    every: int = 0
    pace: float = 0.0

    def __init__(self, streams: Mapping[str, Supply], seed: int) -> None:
        self.streams = dict(streams)
        self.random = np.random.default_rng([seed, 3])

    @abstractmethod
    def shares(self, epoch: Epoch) -> dict[str, float]:
        """The share of rows of every stream; they sum to 1 over all streams, open or not."""

    def pick(self, candidates: Sequence[str], shares: Mapping[str, float]) -> str:
        """The stream of a step that holds rows of one: drawn, with the shares as chances.

        Args:
            candidates: the streams with a task that takes part.
            shares: of all streams.
        """
        chances = np.asarray([shares[name] for name in candidates])
        if not chances.sum():
            chances = np.ones(len(candidates))
        return candidates[int(self.random.choice(len(candidates), p=chances / chances.sum()))]

    def pulled(self, parts: Mapping[str, float]) -> None:  # noqa: B027  (most have nothing to hear)
        """Hear whose rows a batch is made of: the share of every stream, or 1 for the only one."""

    def observe(self, scores: Mapping[str, float]) -> None:  # noqa: B027
        """Hear the validation scores of tasks, after each check."""

    def reward(self, rewards: Mapping[str, float]) -> None:
        """Hear how well the gradients of open streams agree with the validation gradients of all live tasks."""
        raise TypeError(f"{type(self).__name__} asks for no rewards")

    def keep(self, entropies: Mapping[str, Mapping[str, np.ndarray]], count: int) -> dict[str, np.ndarray]:
        """The rows of a pool to train on.

        Args:
            entropies: by stream and task, of the predictions for every row, ``[rows]``; nan for rows that the task
                does not label.
            count: how many to keep in all.

        Returns:
            By stream, positions among its rows, ascending.
        """
        raise TypeError(f"{type(self).__name__} keeps all rows")

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        return {"random": self.random.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data."""
        self.random.bit_generator.state = state["random"]


class Sampler(ABC):
    """The recipe of a mixing."""

    @abstractmethod
    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        """A mixing of these streams: all of the experiment, also those that open later."""

    def problems(self, tasks: Sequence[Task]) -> Iterable[Problem]:
        """What is wrong with the options, given the tasks."""
        return ()


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """The same weights, divided by their sum."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
