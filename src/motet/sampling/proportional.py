"""Tasks draw in proportion to the size of their training sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.registry import register
from motet.sampling.base import normalised
from motet.sampling.formulas import BySize

__all__ = ["Proportional"]


@register("sampler", "proportional")
@dataclass(frozen=True, kw_only=True)
class Proportional(BySize):
    """Tasks draw in proportion to size: all sets finish an epoch together.

    Relations:
        `Temperature` with temperature 1.

    Example:
        >>> Proportional().shares({"small": 10, "large": 90})
        {'small': 0.1, 'large': 0.9}
    """

    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        return normalised(dict(sizes))
