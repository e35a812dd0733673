"""What the console says once: the plan before the first step, and a line for everything that happens to a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from motet.reporting.coverage import shared_labels
from motet.reporting.numerals import MISSING, amount, count, duration, joined, percent, plural, score, size
from motet.reporting.plain import listing, mapping, number, text, whole
from motet.reporting.standing import columns
from motet.runs import Event

__all__ = ["caution", "coverage_parts", "notice", "plan_parts"]

# Bytes from which on it is worth saying how large the soft labels of a task will be.
HEAVY = 10_000_000


def plan_parts(plan: Event) -> Iterator[RenderableType]:
    """The plan: a row a task, the run in two or three lines, notes and warnings."""
    heads = ["task", "type", "train", "dev", "test", "rows/step", "share", "own epochs", "metric", "answer"]
    table = columns(heads, words={"task", "type", "metric", "answer"})
    for task in map(mapping, listing(plan.get("tasks"))):
        table.add_row(*(Text(cell) for cell in _plan_row(task)))
    yield table
    for line in (_machine(plan), _architecture(plan), _length(plan), _soft_labels(plan)):
        if line:
            yield Text(line, style="dim")
    for note in map(text, listing(plan.get("notes"))):
        yield Text(f"note: {note}", style="dim")
    for warning in map(mapping, listing(plan.get("warnings"))):
        yield caution(warning)


def _plan_row(task: Mapping[str, Any]) -> list[str]:
    direction = "" if task.get("higher_is_better") is not False else " (less is better)"
    return [
        text(task.get("name")) or MISSING,
        text(task.get("type")) or MISSING,
        *(count(task.get(split)) for split in ("train", "validation", "test")),
        amount(task.get("rows_per_step")),
        percent(task.get("share")),
        amount(task.get("epochs")),
        (text(task.get("metric")) or MISSING) + direction,
        text(task.get("answer")) or MISSING,
    ]


def _machine(plan: Event) -> str:
    encoder = mapping(plan.get("encoder"))
    parts = [text(encoder.get("name"))]
    parts += [plural(layers, "layer")] if (layers := whole(encoder.get("layers"))) else []
    parts += [f"{parameters / 1e6:.1f} M parameters"] if (parameters := number(encoder.get("parameters"))) else []
    parts += [" on ".join(text(plan[key]) for key in ("precision", "device") if text(plan.get(key)))]
    parts += [plural(threads, "thread")] if (threads := whole(plan.get("threads"))) else []
    return ", ".join(part for part in parts if part)


def _architecture(plan: Event) -> str:
    """What tasks share, what each has of its own, and what a text costs."""
    name = text(mapping(mapping(plan.get("settings")).get("architecture")).get("type"))
    counts, adds = mapping(plan.get("parameters")), mapping(plan.get("multiply_adds"))
    shared, own = number(counts.get("shared")), mapping(counts.get("own")).values()
    if not name or shared is None:
        return ""
    parts = [f"{shared / 1e6:.1f} M parameters shared"]
    parts += [f"{_between(own, 1e3)} k a task's own"] if own else []
    trained, every = number(counts.get("trained")), shared + sum(filter(None, map(number, own)))
    parts += [f"{trained / 1e6:.2g} M trained"] if trained and trained < every else []
    costs, length = mapping(adds.get("of")).values(), count(adds.get("tokens"))
    parts += [f"{_between(costs, 1e9)} G multiply-adds a text of {length} sub-words"] if costs else []
    return f"{name}: {', '.join(parts)}"


def _between(values: Iterable[Any], unit: float) -> str:
    """The least and the largest of some numbers, in a unit; one where they read the same."""
    found = [value / unit for value in map(number, values) if value is not None]
    ends = [f"{end:.2g}" if end < 100 else f"{end:,.0f}" for end in (min(found, default=0.0), max(found, default=0.0))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _length(plan: Event) -> str:
    parts = [plural(steps, "step")] if (steps := whole(plan.get("steps"))) else []
    parts += [f"a check every {count(plan['check_every'])}"] if whole(plan.get("check_every")) else []
    parts += [f"{count(plan['tokens_per_batch'])} tokens a batch"] if whole(plan.get("tokens_per_batch")) else []
    parts += [f"{amount(epochs)} epochs of all rows"] if (epochs := number(plan.get("epochs"))) else []
    parts += [f"seed {text(plan['seed'])}"] if text(plan.get("seed")) else []
    own = "own epochs: passes over a task's own training rows"
    return ", ".join(parts) + (f"; {own}" if parts else "")


def _soft_labels(plan: Event) -> str:
    """The tasks whose soft labels would be large, or are of words of the vocabulary."""
    sizes = [_soft_labels_of(task) for task in map(mapping, listing(plan.get("tasks")))]
    told = joined([said for said in sizes if said])
    return f"soft labels, if recorded: {told}" if told else ""


def _soft_labels_of(task: Mapping[str, Any]) -> str:
    in_all, each = number(task.get("soft_labels")), number(task.get("bytes_per_token"))
    if in_all is None or (in_all <= HEAVY and each is None):
        return ""
    return f"{text(task.get('name'))} {size(in_all)}" + (f" ({count(each)} bytes a sub-word)" if each else "")


def coverage_parts(plan: Event) -> Iterator[RenderableType]:
    """Who labels what: for every source of several tasks a heading and a table; nothing where there is none."""
    for source in shared_labels(plan):
        yield Text(f"{source.source}: {source.words or 'its labels'}")
        table = columns(["task", *source.splits], words={"task"})
        for line in source.lines:
            table.add_row(*(Text(str(cell)) for cell in (line.name, *line.cells)), style="dim" if line.sums else "")
        yield table


def caution(event: Mapping[str, Any]) -> Text:
    """A warning on one line."""
    line = Text("warning ", style="bold yellow")
    line.append(text(event.get("code")), style="yellow")
    about = f" {text(event['task'])}:" if text(event.get("task")) else ""
    return line.append(f"{about} {text(event.get('message'))}", style="not bold")


def notice(event: Event) -> Text | None:
    """The line for an event that is worth one, if it is."""
    say = _NOTICES.get(str(event.get("event")))
    return Text(say(event)) if say else None


def _converged(event: Event) -> str:
    told = f"{text(event.get('task'))} converged at step {count(event.get('step'))}"
    told += f": best {score(event.get('peak'))} at step {count(event.get('best_step'))}"
    told += f", {amount(event.get('own_epochs'))} own epochs"
    told += f"; then {text(event['then'])}" if text(event.get("then")) else ""
    lost = whole(event.get("discarded"))
    return told + (f", {count(lost)} steps rewound" if lost else "")


def _reopened(event: Event) -> str:
    reason = f": {text(event['reason'])}" if text(event.get("reason")) else ""
    return f"{text(event.get('task'))} learns again from step {count(event.get('step'))}{reason}"


def _capped(event: Event) -> str:
    tasks = [text(task) for task in listing(event.get("tasks"))]
    return f"the budget ended while still learning: {joined(tasks)}" if tasks else "the budget ended"


def _end(event: Event) -> str:
    reason = f": {text(event['reason'])}" if text(event.get("reason")) else ""
    return f"ended at step {count(event.get('step'))} after {duration(event.get('seconds'))}{reason}"


_NOTICES: dict[str, Callable[[Event], str]] = {
    "converged": _converged,
    "reopened": _reopened,
    "capped": _capped,
    "resumed": lambda event: f"resumed at step {count(event.get('step'))}",
    "interrupted": lambda event: f"interrupted at step {count(event.get('step'))}; `motet resume` goes on from there",
    "end": _end,
}
