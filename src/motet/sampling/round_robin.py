"""One after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from motet.registry import register
from motet.sampling.base import Epoch, Mixing, Sampler, Supply

__all__ = ["RoundRobin"]


@register("sampler", "round_robin")
@dataclass(frozen=True, kw_only=True)
class RoundRobin(Sampler):
    """Tasks take turns, in the order of the recipe, with ``training.batches: single``; a closed one is passed over.

    With mixed batches every step holds equal parts of all of them, as under `Uniform`. Tasks that read the same rows
    have one turn together.

    Relations:
        `Uniform` gives the same shares, and draws the task of a single batch.

    Example:
        >>> mixing = RoundRobin().build({"a": Supply(9, ("a",)), "b": Supply(5, ("b",))}, seed=0)
        >>> [mixing.pick(["a", "b"], mixing.shares(Epoch(1, 2))) for _ in range(3)]
        ['a', 'b', 'a']
    """

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        return _RoundRobin(streams, seed)


class _RoundRobin(Mixing):
    """`turn` is the position of the stream that is next, if it is open."""

    def __init__(self, streams: Mapping[str, Supply], seed: int) -> None:
        super().__init__(streams, seed)
        self.turn = 0

    def shares(self, epoch: Epoch) -> dict[str, float]:
        return {name: 1 / len(self.streams) for name in self.streams}

    def pick(self, candidates: Sequence[str], shares: Mapping[str, float]) -> str:
        names = list(self.streams)
        chosen = next(name for name in names[self.turn :] + names[: self.turn] if name in candidates)
        self.turn = (names.index(chosen) + 1) % len(names)
        return chosen

    def state(self) -> dict[str, Any]:
        return {**super().state(), "turn": self.turn}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.turn = state["turn"]
