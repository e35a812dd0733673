"""Elements and axes of the inline drawings.

Colours, weights and fonts are classes, defined once in the style sheet of the page for light and dark; a drawing only
says what a thing is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Scale", "drawing", "element", "path", "polygon"]

Vertex = tuple[float, float]
Size = float | tuple[float, float]


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
    """A linear map from data to the page.

    Example:
        >>> scale = Scale(0, 10, 100, 200)
        >>> scale(5), scale.ticks(2)
        (150.0, [0.0, 5.0, 10.0])
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, margin: float = 0.06) -> Scale:
        """A scale that shows all values with some air; a single value gets a range of its own."""
        low, high = min(values), max(values)
        air = margin * (high - low) or 0.05 * abs(high) or 1.0
        return cls(low - air, high + air, start, end)

    def ticks(self, wanted: int) -> list[float]:
        """Round values inside the range, about as many as wanted."""
        spacing = self.spacing(wanted)
        first, last = math.ceil(self.low / spacing - 1e-9), math.floor(self.high / spacing + 1e-9)
        return [position * spacing for position in range(first, last + 1)]

    def spacing(self, wanted: int) -> float:
        """The round distance between ticks."""
        least = (self.high - self.low) / wanted
        magnitude = 10.0 ** math.floor(math.log10(least))
        return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= least * (1 - 1e-9))

    def labelled(self, wanted: int) -> list[tuple[float, str]]:
        """The ticks and how to write them, with just enough decimals."""
        places = max(0, -math.floor(math.log10(self.spacing(wanted)) + 1e-9))
        return [(tick, f"{tick:,.{places}f}".replace("-", "−")) for tick in self.ticks(wanted)]
