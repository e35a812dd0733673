"""Between proportional and uniform, by a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motet.errors import Problem, RecipeError
from motet.registry import register
from motet.sampling.base import normalised
from motet.sampling.formulas import BySize

__all__ = ["Temperature"]


@register("sampler", "temperature")
@dataclass(frozen=True, kw_only=True)
class Temperature(BySize):
    """Tasks draw in proportion to ``size ** (1 / temperature)``.

    Source: Arivazhagan et al. 2019, "Massively Multilingual Neural Machine Translation in the Wild".

    Args:
        temperature: 1 is proportional, infinity is uniform.

    Relations:
        `Proportional` and `Uniform` are its two ends; `SizeCapped` bounds the largest sets; `Annealed` and
        `TemperatureWarmup` change the exponent over the run.

    Example:
        >>> Temperature(temperature=2).shares({"small": 100, "large": 900})
        {'small': 0.25, 'large': 0.75}
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise RecipeError(Problem("temperature", "must be positive", str(self.temperature)))

    def shares(self, sizes: Mapping[str, int]) -> dict[str, float]:
        largest = max(sizes.values())
        return normalised({name: (size / largest) ** (1 / self.temperature) for name, size in sizes.items()})
