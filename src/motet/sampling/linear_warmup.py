"""A temperature that rises over the first epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.errors import Problem, positive, require
from motet.registry import register
from motet.sampling.base import Epoch, normalised
from motet.sampling.formulas import ByEpoch

__all__ = ["TemperatureWarmup"]


@register("sampler", "linear_warmup")
@dataclass(frozen=True, kw_only=True)
class TemperatureWarmup(ByEpoch):
    """Tasks draw in proportion to ``size ** (1 / T)``, with a temperature T that rises over the first epochs.

        T = min(highest, start + (e - 1) (highest - start) / W)

    An epoch e is one of the mixture: all sets together have drawn as many rows as they hold; it is counted from 1 and
    not rounded.

    Source: Wang, Zhai and Awadalla 2020, "Multi-task Learning for Multilingual Neural Machine Translation".

    Args:
        start: the temperature at first; 1 is proportional.
        highest: the temperature that it rises to.
        warmup: W, the epochs that this takes.

    Relations:
        `Temperature` keeps one temperature; `Annealed` moves the exponent over the whole run.

    Example:
        >>> sizes = {"small": 100, "large": 900}
        >>> TemperatureWarmup(highest=3, warmup=2).shares(sizes, Epoch(now=2, last=9))
        {'small': 0.25, 'large': 0.75}
    """

    start: float = 1.0
    highest: float = 5.0
    warmup: float = 5.0

    def __post_init__(self) -> None:
        order = Problem("highest", f"must be at least start, which is {self.start}", str(self.highest))
        problems = [*positive(start=self.start, highest=self.highest, warmup=self.warmup)]
        require(problems or ([order] if self.highest < self.start else []))

    def temperature(self, epoch: Epoch) -> float:
        """The temperature of a moment."""
        return min(self.highest, self.start + (epoch.now - 1) * (self.highest - self.start) / self.warmup)

    def shares(self, sizes: Mapping[str, int], epoch: Epoch) -> dict[str, float]:
        exponent, largest = 1 / self.temperature(epoch), max(sizes.values())
        return normalised({name: (size / largest) ** exponent for name, size in sizes.items()})
