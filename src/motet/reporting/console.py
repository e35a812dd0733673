"""The plan and the live table, drawn from the events of a run as they are written. Everything goes to stderr.

    step 3,250 of 6,780   48 %   21 min left   1.8 steps/s
    task        state        loss           score            best   own epochs
    sentiment   held        0.061   0.927 ± 0.009   0.929 @2,000          3.1
    nli         learning    0.538   0.741 ± 0.011   0.744 @3,000          2.2

On a terminal the table is redrawn in place; elsewhere it is printed once a check.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console as Terminal
from rich.live import Live
from rich.table import Table

from motet.reporting.notices import caution, coverage_parts, notice, plan_parts
from motet.reporting.standing import Standing
from motet.runs import Event

__all__ = ["Console"]

# Seconds between two drawings of the live table.
REDRAW = 0.2
# A file has no width: rows must not be folded to that of a terminal.
WIDTH_OF_A_FILE = 160


class Console:
    """Draws a run on stderr; a listener of `motet.runs.EventLog`.

    Args:
        quiet: print warnings only.
        past: events of the run before this process, when it is resumed: they fill the table and print nothing.
        terminal: where to draw; stderr by default.

    Example:
        >>> console = Console(quiet=True)
        >>> console({"event": "step", "step": 1, "losses": {"topic": float("nan")}})
        >>> console.close()
    """

    def __init__(self, *, quiet: bool = False, past: Iterable[Event] = (), terminal: Terminal | None = None) -> None:
        self._terminal = terminal or _stderr()
        self._in_place = self._terminal.is_terminal and not self._terminal.is_dumb_terminal
        self._quiet = quiet
        self._live: Live | None = None
        self._drawn = 0.0
        self._standing = Standing()
        for event in past:
            self._standing.take(event)

    def __call__(self, event: Event) -> None:
        """Show one event: a plan is printed, a step or a check updates the table, the rest gets a line."""
        self._standing.take(event)
        name = event.get("event")
        if name == "warning":
            self._terminal.print(caution(event))
        if self._quiet:
            return
        if name == "plan":
            self.print_plan(event)
        elif name in ("step", "check"):
            self._show(now=name == "check")
        elif (line := notice(event)) is not None:
            if name in ("end", "interrupted"):
                self.close()
            self._terminal.print(line)

    def print_plan(self, plan: Event) -> None:
        """Print a plan: a row a task, then the run in two lines, notes and warnings."""
        for part in plan_parts(plan):
            self._terminal.print(part)
        self._terminal.print()

    def print_coverage(self, plan: Event) -> None:
        """Print which tasks label which rows, for every source of several tasks."""
        for part in coverage_parts(plan):
            self._terminal.print(part)
            if isinstance(part, Table):
                self._terminal.print()

    def close(self) -> None:
        """Leave the last table on the terminal and give the cursor back; may be called twice."""
        if self._live is not None:
            self._live.update(self._standing.render(), refresh=True)
            self._live.stop()
            self._live = None

    def _show(self, now: bool) -> None:
        if self._in_place:
            self._redraw(now)
        elif now:
            self._terminal.print(self._standing.render())

    def _redraw(self, now: bool) -> None:
        if self._live is None:
            # Without a thread of its own, which would read the table while it changes; results on stdout stay there.
            self._live = Live(console=self._terminal, auto_refresh=False, redirect_stdout=False)
            self._live.start()
        if now or time.monotonic() - self._drawn >= REDRAW:
            self._live.update(self._standing.render(), refresh=True)
            self._drawn = time.monotonic()


def _stderr() -> Terminal:
    terminal = Terminal(stderr=True, highlight=False)
    return terminal if terminal.is_terminal else Terminal(stderr=True, highlight=False, width=WIDTH_OF_A_FILE)
