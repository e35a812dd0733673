"""The table of architectures that `motet architectures` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from motet.reporting.standing import columns

__all__ = ["architecture_table"]

_WORDS = {"architecture", "family", "adds", "what it is"}
_NUMBERS = ["shared M", "own k", "trained M", "cost"]


def architecture_table(entries: Iterable[Mapping[str, Any]]) -> Table:
    """A row an architecture: parameters, cost relative to hard sharing, losses that it adds, and what it is.

    Args:
        entries: as `motet architectures --json` prints them.
    """
    table = columns(["architecture", "family", *_NUMBERS, "adds", "what it is"], words=_WORDS)
    rows = [_row(entry) for entry in entries]
    for row in rows:
        table.add_row(*map(Text, row))
    for column, cells in zip(table.columns[:-1], zip(*rows, strict=True), strict=False):
        column.width = max(map(len, [str(column.header), *cells]))
    table.columns[-1].no_wrap = False  # of a table that is too wide, rich cuts what may be wrapped, and that alone
    return table


def _row(entry: Mapping[str, Any]) -> list[str]:
    return [
        entry["name"],
        entry["family"],
        f"{entry['shared'] / 1e6:.1f}",
        f"{entry['own'] / 1e3:,.1f}",
        f"{entry['trained'] / 1e6:.1f}",
        f"{entry['multiply_adds']:.2f}",
        ", ".join(entry["extras"]),
        entry["summary"],
    ]
