"""What the bandits share: streams are arms, and the validation score of one task is what they are after."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from motet.sampling.base import Mixing, Supply

__all__ = ["Arms"]


class Arms(Mixing):
    """A mixing that learns which streams help one task.

    The *pulls* of an arm between two observations are the batches times its share of each: batches that hold rows of
    one stream pull one arm, mixed ones every arm by its share. An arm answers for its part of all pulls.

    Args:
        streams: the arms.
        seed: of the mixing's own generator.
        primary: the task whose score counts; empty for the first.

    Attributes:
        home: the arm of the primary task.
        pulls: of every arm since the last observation.
    """

    def __init__(self, streams: Mapping[str, Supply], seed: int, primary: str) -> None:
        super().__init__(streams, seed)
        self.primary = primary or next(iter(streams.values())).tasks[0]
        self.home = next(name for name, supply in streams.items() if self.primary in supply.tasks)
        self.pulls = dict.fromkeys(streams, 0.0)

    @abstractmethod
    def learn(self, score: float, parts: Mapping[str, float]) -> None:
        """Learn from an observation.

        Args:
            score: of the primary task, turned to where higher is better.
            parts: of every arm in the pulls since the last observation; they sum to 1.
        """

    def pulled(self, parts: Mapping[str, float]) -> None:
        for name, part in parts.items():
            self.pulls[name] += part

    def observe(self, scores: Mapping[str, float]) -> None:
        score, total = scores.get(self.primary, math.nan), sum(self.pulls.values())
        if math.isfinite(score) and total:
            falling = self.primary in self.streams[self.home].falling
            self.learn(-score if falling else score, {name: pulls / total for name, pulls in self.pulls.items()})
            self.pulls = dict.fromkeys(self.streams, 0.0)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "pulls": dict(self.pulls)}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.pulls = dict(state["pulls"])
