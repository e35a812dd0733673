"""Every set of rows is drawn from equally often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.registry import register
from motet.sampling.formulas import BySize

__all__ = ["Uniform"]


@register("sampler", "uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(BySize):
    """Every set of rows is drawn from equally often: small ones are passed over more times than large ones.

    Tasks that read the same rows share one set.

    Relations:
        `Temperature` with an infinite temperature.

    Example:
        >>> Uniform().shares({"small": 10, "large": 90})
        {'small': 0.5, 'large': 0.5}
    """

    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        return {name: 1.0 / len(sizes) for name in sizes}
