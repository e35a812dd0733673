"""Samplers that are one formula: of the sizes of the streams, or of the sizes and the epoch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

from motet.sampling.base import Epoch, Mixing, Sampler, Supply

__all__ = ["ByEpoch", "BySize", "Formula"]


class Formula(Mixing):
    """A mixing without memory.

    Args:
        streams: what is known about each, by name.
        seed: of its generator.
        shares: the formula.
    """

    def __init__(
        self, streams: Mapping[str, Supply], seed: int, shares: Callable[[Epoch], Mapping[str, float]]
    ) -> None:
        super().__init__(streams, seed)
        self._shares = shares

    def shares(self, epoch: Epoch) -> dict[str, float]:
        return dict(self._shares(epoch))


class BySize(Sampler):
    """Shares that follow from the sizes of the streams."""

    @abstractmethod
    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """The share of rows of every stream, given how many examples each holds; they sum to 1."""

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        shares = self.shares(_sizes(streams))
        return Formula(streams, seed, lambda epoch: shares)


class ByEpoch(Sampler):
    """Shares that follow from the sizes of the streams and from how far the mixture is."""

    @abstractmethod
    def shares(self, sizes: Mapping[str, int], epoch: Epoch) -> dict[str, float]:
        """The share of rows of every stream, given how many examples each holds; they sum to 1."""

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        sizes = _sizes(streams)
        return Formula(streams, seed, lambda epoch: self.shares(sizes, epoch))


def _sizes(streams: Mapping[str, Supply]) -> dict[str, int]:
    return {name: supply.examples for name, supply in streams.items()}
