"""Where every task of a run stands while it goes on: what the live table shows."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from motet.reporting.numerals import MISSING, amount, count, duration, percent, score, with_error
from motet.reporting.pace import Pace
from motet.reporting.plain import headline_score, listing, mapping, number, scores_by_task, text, whole
from motet.runs import Event

__all__ = ["Row", "Standing", "columns"]

STATES = {"converged": "held", "capped": "out of budget"}
COLOURS = {"learning": "blue", "held": "yellow", "dropped": "dim", "out of budget": "magenta"}


def columns(heads: list[str], words: set[str]) -> Table:
    """A table without lines: columns of words to the left, of numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, justify="left" if head in words else "right", overflow="ellipsis", no_wrap=True)
    return table


@dataclass
class Row:
    """What the table shows of one task."""

    metric: str = ""
    state: str = "learning"
    then: str = ""
    loss: float | None = None
    score: str = MISSING
    best: str = MISSING
    own_epochs: float | None = None

    @property
    def shown_state(self) -> str:
        """The state in the words of a person."""
        if self.state == "converged" and self.then not in ("", "distill"):
            return "converged"
        return STATES.get(self.state, self.state)


class Standing:
    """Where the tasks of a run stand, as far as its events tell.

    Example:
        >>> standing = Standing()
        >>> standing.take({"event": "step", "step": 10, "losses": {"topic": 0.5}})
        >>> standing.line(), standing.rows["topic"].loss
        ('step 10', 0.5)
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self.rows: dict[str, Row] = {}
        self.penalties: dict[str, float] = {}

    def take(self, event: Event) -> None:
        """Learn from one event."""
        name = event.get("event")
        if name == "plan":
            self._plan(event)
        self.pace.take(event)
        for task, loss in mapping(event.get("losses")).items():
            self.row(task).loss = number(loss)
        for name, penalty in mapping(event.get("penalties")).items():
            self.penalties[text(name)] = number(penalty) or 0.0
        if name == "check":
            self._check(event)
        elif name == "converged":
            row = self.row(event.get("task"))
            row.then = text(event.get("then"))
            row.state = "dropped" if row.then == "drop" else "converged"
        elif name == "reopened":
            self.row(event.get("task")).state = "learning"
        elif name == "capped":
            for task in listing(event.get("tasks")):
                self.row(task).state = "capped"

    def row(self, task: object) -> Row:
        """The row of a task, made when it is first heard of."""
        return self.rows.setdefault(text(task) or "unnamed", Row())

    def _plan(self, event: Event) -> None:
        self.pace = Pace(whole(event.get("steps")), whole(event.get("check_every")))
        for task in map(mapping, listing(event.get("tasks"))):
            self.row(task.get("name")).metric = text(task.get("metric"))

    def _check(self, event: Event) -> None:
        headline = mapping(event.get("headline"))
        scores = scores_by_task(event.get("scores"))
        for task in dict.fromkeys([*scores, *map(str, headline)]):
            row = self.row(task)
            row.score = with_error(headline_score(scores.get(task, {}), row.metric, number(headline.get(task))))
        for task, state in mapping(event.get("states")).items():
            self.row(task).state = text(state) or "learning"
        for task, epochs in mapping(event.get("own_epochs")).items():
            self.row(task).own_epochs = number(epochs)
        for task, best in mapping(event.get("best")).items():
            found = mapping(best)
            self.row(task).best = f"{score(found.get('value'))} @{count(found.get('step'))}" if found else MISSING

    def render(self) -> Group:
        """The line of the run, the table of its tasks, and the penalties on one line."""
        table = columns(["task", "state", "loss", "score", "best", "own epochs"], words={"task", "state"})
        for task, row in self.rows.items():
            state = Text(row.shown_state, style=COLOURS.get(row.shown_state, ""))
            cells = [score(row.loss), row.score, row.best, amount(row.own_epochs)]
            table.add_row(Text(task), state, *map(Text, cells))
        penalties = "   ".join(f"{name} {value:.3g}" for name, value in self.penalties.items())
        return Group(Text(self.line(), style="bold"), table, *([Text(f"penalties   {penalties}")] if penalties else []))

    def line(self) -> str:
        """How far the run is, and how long it will take."""
        pace = self.pace
        parts = [f"step {count(pace.step)}" + (f" of {count(pace.steps)}" if pace.steps else "")]
        parts += [percent(pace.step / pace.steps)] if pace.steps else []
        parts += [f"{duration(pace.seconds_left)} left"] if pace.seconds_left is not None else []
        parts += [f"{amount(pace.steps_per_second)} steps/s"] if pace.steps_per_second else []
        return "   ".join(parts)
