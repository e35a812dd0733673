"""From proportional towards uniform over the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.errors import require, share
from motet.registry import register
from motet.sampling.base import Epoch, normalised
from motet.sampling.formulas import ByEpoch

__all__ = ["Annealed"]


@register("sampler", "annealed")
@dataclass(frozen=True, kw_only=True)
class Annealed(ByEpoch):
    """Tasks draw in proportion to ``size ** (1 - drop * (e - 1) / (E - 1))`` in epoch e of E.

    Large sets shape the encoder first; towards the end all tasks are trained about equally, so that none is forgotten.
    An epoch is one of the mixture: all sets together have drawn as many rows as they hold. Here e is not rounded, and E
    is where the steps of the run come to; so a run of less than an epoch is annealed as well.

    Source: Stickland and Murray 2019, "BERT and PALs: Projected Attention Layers for Efficient Adaptation in Multi-Task
    Learning".

    Args:
        drop: what the exponent, which is 1 at first, has lost at the end.

    Relations:
        `Temperature` keeps one exponent; `TemperatureWarmup` moves its inverse, and stops at some epoch.

    Example:
        >>> Annealed(drop=0.5).shares({"small": 100, "large": 900}, Epoch(now=9, last=9))
        {'small': 0.25, 'large': 0.75}
    """

    drop: float = 0.8

    def __post_init__(self) -> None:
        require(share(drop=self.drop))

    def shares(self, sizes: Mapping[str, int], epoch: Epoch) -> dict[str, float]:
        exponent, largest = 1 - self.drop * epoch.passed, max(sizes.values())
        return normalised({name: (size / largest) ** exponent for name, size in sizes.items()})
