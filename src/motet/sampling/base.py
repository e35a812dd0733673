"""What every sampler is: a rule that turns the sizes of training sets into shares of the rows drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

__all__ = ["Sampler", "normalised"]


class Sampler(ABC):
    """Says which part of the training rows each stream of examples gets."""

    @abstractmethod
    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """The share of rows of every stream, given how many rows each has; they sum to 1."""


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """The same weights, divided by their sum."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
