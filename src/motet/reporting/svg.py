"""Elements and axes of the inline drawings.

Colours, weights and fonts are classes, defined once in the style sheet of the page for light and dark; a drawing only
says what a thing is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from motet.reporting.numerals import LARGE, exponent, power_of_ten

__all__ = ["Scale", "drawing", "element", "path", "polygon"]

Vertex = tuple[float, float]
Size = float | tuple[float, float]
# The logarithm of the largest number there is, nearly.
_REACH = 700.0


def element(name: str, *children: str | Markup, **attributes: str | float) -> Markup:
    """One element; text is escaped, underscores in attribute names become hyphens, a trailing one is dropped.

    Example:
        >>> element("text", "a < b", x=1.25, class_="tick", text_anchor="end")
        Markup('<text x="1.2" class="tick" text-anchor="end">a &lt; b</text>')
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    inner = Markup("").join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>" if children else f"<{name}{written}/>")


def drawing(identity: str, title: str, description: str, parts: Iterable[Markup], class_: str, size: Size) -> Markup:
    """An `svg` element that says what it shows, also to those who cannot see it.

    Args:
        identity: a name that no other drawing of the page has.
        title: what it shows, in a few words.
        description: what there is to see.
        parts: the elements, in the order in which they are painted.
        class_: its class in the style sheet.
        size: inner width and height of a drawing that scales; the height alone of one that only gets wider.
    """
    heading = element("title", title, id=f"{identity}-title")
    explanation = element("desc", description, id=f"{identity}-desc")
    shape: dict[str, str | float] = (
        {"viewBox": f"0 0 {size[0]:g} {size[1]:g}"} if isinstance(size, tuple) else {"width": "100%", "height": size}
    )
    labels = f"{identity}-title {identity}-desc"
    return element("svg", heading, explanation, *parts, role="img", aria_labelledby=labels, class_=class_, **shape)


def path(vertices: Iterable[Vertex]) -> str:
    """The `d` of a line through vertices."""
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in vertices)


def polygon(vertices: Iterable[Vertex]) -> str:
    """The `d` of a closed line through vertices."""
    return path(vertices) + "Z"


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return str(escape(value))
    text = f"{value:.1f}"
    return text.removesuffix(".0")


@dataclass(frozen=True)
class Scale:
    """A map from data to the page: linear, or logarithmic where `ratio` is set.

    Example:
        >>> scale = Scale(0, 10, 100, 200)
        >>> scale(5), scale.ticks(2)
        (150.0, [0.0, 5.0, 10.0])
        >>> scale = Scale(1, 100, 100, 200, ratio=True)
        >>> scale(10), scale.ticks(4)
        (150.0, [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    """

    low: float
    high: float
    start: float
    end: float
    ratio: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = map(self._log, (self.low, self.high, value)) if self.ratio else (self.low, self.high, value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def _log(self, value: float) -> float:
        """What is not above zero lies far below the range."""
        return math.log(max(value, 0.01 * self.low))

    @classmethod
    def around(
        cls, values: Sequence[float], start: float, end: float, margin: float = 0.06, *, ratio: bool = False
    ) -> Scale:
        """A scale that shows all values with some air; a single value gets a range of its own.

        A logarithmic one shows those above zero, and is linear if there is none.
        """
        positive = [value for value in values if value > 0]
        if ratio and positive:
            inner = cls.around([math.log(value) for value in positive], start, end, margin)
            low, high = (math.exp(max(-_REACH, min(_REACH, edge))) for edge in (inner.low, inner.high))
            return cls(low, high, start, end, ratio=True)
        low, high = min(values), max(values)
        air = margin * (high - low) or 0.05 * abs(high) or 1.0
        return cls(low - air, high + air, start, end)

    def ticks(self, wanted: int) -> list[float]:
        """Round values inside the range, about as many as wanted."""
        spacing = self.spacing(wanted)
        first, last = math.ceil(self.low / spacing - 1e-9), math.floor(self.high / spacing + 1e-9)
        even = [position * spacing for position in range(first, last + 1)]
        factors = self._factors(wanted) if self.ratio else []
        return even if len(even) > len(factors) or not self.ratio else factors

    def _factors(self, wanted: int) -> list[float]:
        """Powers of ten inside the range, with their doubles and halves where there is room."""
        first, last = math.log10(self.low), math.log10(self.high)
        span = last - first
        stride = math.ceil(span / (1.5 * wanted))
        powers = range(math.floor(first), math.ceil(last) + 1)
        factors = (1, 2, 5) if 3 * span <= 1.75 * wanted else (1,)
        found = (factor * 10.0**power for power in powers if power % stride == 0 for factor in factors)
        return [value for value in found if self.low <= value <= self.high]

    def spacing(self, wanted: int) -> float:
        """The round distance between ticks."""
        least = (self.high - self.low) / wanted
        magnitude = 10.0 ** math.floor(math.log10(least))
        return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= least * (1 - 1e-9))

    def labelled(self, wanted: int) -> list[tuple[float, str]]:
        """The ticks and how to write them, with just enough decimals."""
        ticks = self.ticks(wanted)
        finest = min((b - a for a, b in pairwise(ticks)), default=self.spacing(wanted))
        places = max(0, -math.floor(math.log10(finest) + 1e-9))
        return [(tick, _tick(tick, places)) for tick in ticks]


def _tick(value: float, places: int) -> str:
    """A tick as short as it can be without being rounded."""
    power = exponent(value)
    digits = f"{value / 10.0**power:.10g}"
    if abs(value) < LARGE or len(digits) > 4:
        return f"{value:,.{places}f}".replace("-", "−")
    return power_of_ten(power) if digits == "1" else f"{digits.replace('-', '−')}·{power_of_ten(power)}"
