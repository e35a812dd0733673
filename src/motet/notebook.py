"""How objects show themselves in a notebook: a title, a few facts and a table, as HTML and as plain text.

The HTML has no script, loads nothing, and takes its colours from the page around it, so that it suits a light theme and
a dark one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Card", "Shown"]

# Everything is of the colour of the text around, or of one that stands out from light and dark alike.
STYLE = """
.motet-card { font-size: 0.9em; line-height: 1.45; max-width: 60em; font-variant-numeric: tabular-nums; }
.motet-card p { margin: 0.15em 0; }
.motet-card .motet-facts { opacity: 0.8; }
.motet-card .motet-wide { overflow-x: auto; }
.motet-card table { border-collapse: collapse; margin: 0.5em 0 0; background: none; color: inherit;
  font-size: inherit; }
.motet-card tr { background: none; }
.motet-card th, .motet-card td { padding: 0.3em 1.2em 0.3em 0; text-align: right; vertical-align: top; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, 0.4); color: inherit; background: none; max-width: 32em; }
.motet-card th { font-weight: 600; }
.motet-card th:first-child, .motet-card .motet-words { text-align: left; overflow-wrap: break-word; }
"""


@dataclass(frozen=True)
class Card:
    """What there is to show of an object.

    Args:
        title: what it is called.
        facts: a line of them below the title.
        heads: of the columns of the table.
        rows: of the table; the first cell of each is its name.
        words: columns that hold words rather than numbers, by position.

    Example:
        >>> print(Card("topic", ("2 labels",), ("task", "score"), (("topic", "0.9"),)).text())
        topic
        2 labels
        <BLANKLINE>
        task   score
        topic    0.9
    """

    title: str
    facts: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    words: Sequence[int] = ()

    def text(self) -> str:
        """The card as plain text."""
        lines = [self.title, *([" · ".join(self.facts)] if self.facts else [])]
        if self.rows:
            table = [list(self.heads), *map(list, self.rows)] if any(self.heads) else list(map(list, self.rows))
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            lines += ["", *(self._line(row, widths) for row in table)]
        return "\n".join(lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        left = {0, *self.words}
        sized = enumerate(zip(row, widths, strict=True))
        return "  ".join(cell.ljust(width) if at in left else cell.rjust(width) for at, (cell, width) in sized).rstrip()

    def html(self) -> str:
        """The card as a piece of HTML that needs nothing beside itself."""
        facts = f'<p class="motet-facts">{escape(" · ".join(self.facts))}</p>' if self.facts else ""
        head = f"<thead>{self._row(self.heads, 'col')}</thead>" if any(self.heads) else ""
        body = "".join(self._row(row, "row") for row in self.rows)
        table = f'<div class="motet-wide"><table>{head}<tbody>{body}</tbody></table></div>' if self.rows else ""
        title = f"<p><strong>{escape(self.title)}</strong></p>"
        return f'<div class="motet-card"><style>{STYLE}</style>{title}{facts}{table}</div>'

    def _row(self, cells: Sequence[str], scope: str) -> str:
        """A row of which all cells are headings, or the first."""
        return f"<tr>{''.join(self._cell(at, cell, scope) for at, cell in enumerate(cells))}</tr>"

    def _cell(self, at: int, cell: str, scope: str) -> str:
        words = ' class="motet-words"' if at in self.words else ""
        if scope == "row" and at:
            return f"<td{words}>{escape(cell)}</td>"
        return f'<th scope="{scope}"{words}>{escape(cell)}</th>'


class Shown(ABC):
    """An object that shows itself in a notebook."""

    @abstractmethod
    def _card(self) -> Card:
        """What there is to show."""

    def _repr_html_(self) -> str:
        return self._card().html()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        card = self._card()
        return {"text/plain": card.text(), "text/html": card.html()}
