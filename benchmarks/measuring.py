"""Ratios measured in one run: two pieces of work take turns, and every turn gives one ratio.

Speeds of a machine drift by more than what is measured here. Two pieces of work that take turns drift together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

__all__ = ["Row", "Stopwatch", "peak_memory", "table"]

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One measured quantity.

    Args:
        source: the data it was measured on.
        name: what it is.
        values: one for every turn.
        least: the target, if more is better.
        most: the target, if less is better; without either the row is for information.
    """

    source: str
    name: str
    values: Sequence[float]
    least: float | None = None
    most: float | None = None

    @property
    def value(self) -> float:
        """The median over the turns."""
        return median(self.values)

    @property
    def target(self) -> str:
        """The target in words; empty without."""
        if self.least is not None:
            return f">= {self.least:.2f}"
        return "" if self.most is None else f"<= {self.most:.2f}"

    @property
    def verdict(self) -> str:
        """Whether the median meets the target; empty without one."""
        if not self.target:
            return ""
        met = self.value >= self.least if self.least is not None else self.value <= (self.most or 0.0)
        return "met" if met else "MISSED"

    def plain(self) -> dict[str, Any]:
        """Plain data for a file."""
        return {**vars(self), "values": list(self.values), "median": self.value, "verdict": self.verdict}


@dataclass(frozen=True)
class Stopwatch:
    """Times work on a device.

    Args:
        device: waited for before every look at the clock.
        cpu: count the processor time of this process instead of the time on the wall. That is steadier where other
            programs use the machine, and wrong on a GPU.
    """

    device: torch.device
    cpu: bool = False

    def seconds(self, work: Work) -> float:
        """How long one call takes."""
        started = self._now()
        work()
        return self._now() - started

    def turns(self, first: Work, second: Work, rounds: int) -> list[tuple[float, float]]:
        """Seconds of both in every round; who begins alternates, and one round before them is not counted."""
        return [self.turn(first, second, number) for number in range(rounds + 1)][1:]

    def turn(self, first: Work, second: Work, number: int) -> tuple[float, float]:
        """Seconds of both; the second begins where the number is odd."""
        if number % 2:
            later = self.seconds(second)
            return self.seconds(first), later
        return self.seconds(first), self.seconds(second)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.process_time() if self.cpu else time.perf_counter()


def peak_memory() -> int:
    """The most bytes that this process has held in memory.

    `getrusage` would do, but for a process that another has started it begins with what that one held.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def table(rows: Sequence[Row]) -> str:
    """The rows as text, with the lowest and highest value of each."""
    head = ("source", "what", "ratio", "target", "", "spread")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    spread = f"{min(row.values):.3f} to {max(row.values):.3f}, n = {len(row.values)}"
    return row.source, row.name, f"{row.value:.3f}", row.target, row.verdict, spread
