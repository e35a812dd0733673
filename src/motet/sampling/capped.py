"""Proportional to size, but no set counts as larger than a cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.errors import positive, require
from motet.registry import register
from motet.sampling.base import normalised
from motet.sampling.formulas import BySize

__all__ = ["SizeCapped"]


@register("sampler", "capped")
@dataclass(frozen=True, kw_only=True)
class SizeCapped(BySize):
    """Tasks draw in proportion to ``min(size, cap) ** (1 / temperature)``.

    One huge set, such as text for a language model, does not crowd out the others, whose shares stay proportional.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    examples-proportional and temperature-scaled mixing.

    Args:
        cap: no set counts as having more examples.
        temperature: 1 is proportional up to the cap, infinity is uniform.

    Relations:
        `Temperature` has no cap; with a cap below every size this is `Uniform`.

    Example:
        >>> SizeCapped(cap=300).shares({"small": 100, "large": 900})
        {'small': 0.25, 'large': 0.75}
    """

    cap: int = 2**16
    temperature: float = 1.0

    def __post_init__(self) -> None:
        temperature = positive(temperature=self.temperature) if self.temperature != float("inf") else ()
        require([*positive(cap=self.cap), *temperature])

    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        capped = {name: min(size, self.cap) for name, size in sizes.items()}
        largest = max(capped.values())
        return normalised({name: (size / largest) ** (1 / self.temperature) for name, size in capped.items()})
