"""Lines of text and JSON as what a model answers, and the answers in the same order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from motet.errors import RunError, nearest

if TYPE_CHECKING:
    from motet.model import MultiTaskModel

__all__ = ["answers", "read_lines"]

_BATCH = 64


class _Request(NamedTuple):
    """What to ask a model for one row: a text or a pair, and the tasks; None for all that fit."""

    row: int
    text: Any
    tasks: tuple[str, ...] | None


def read_lines(file: str) -> Iterator[Any]:
    """The values in a file, one a line: JSON where a line begins like a text, list or object of it, else plain text.

    Args:
        file: its path; `-` for stdin.

    Raises:
        RunError: no such file, or a line that is not JSON; names the line.
    """
    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _value(line.strip(), f"{file}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read: {error}.") from error


def answers(model: MultiTaskModel, values: Iterable[Any], tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Answers to texts, pairs and objects, in their order, a batch at a time.

    Args:
        model: a model.
        values: what `read_lines` gives.
        tasks: those to answer; all that fit if there is none.

    Raises:
        RunError: an unknown task, or a value that no task can read.
    """
    for name in tasks:
        if name not in model.tasks:
            raise RunError(f"no task `{name}` in this model. {nearest(name, model.tasks)}")
    stream = iter(values)
    while batch := list(islice(stream, _BATCH)):
        found: list[dict[str, Any]] = [{} for _ in batch]
        for together in _alike(
            request for row, value in enumerate(batch) for request in _requests(row, value, model, tasks)
        ):
            wanted = None if together[0].tasks is None else list(together[0].tasks)
            answered = model.predict([request.text for request in together], wanted)
            for request, answer in zip(together, answered, strict=True):
                found[request.row].update(answer)
        yield from found


def _value(line: str, place: str) -> Any:
    if line[0] not in '{["':
        return line
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise RunError(f"{place}: begins like JSON but is not ({error.msg} at character {error.pos + 1}).") from error


def _requests(row: int, value: Any, model: MultiTaskModel, tasks: Sequence[str]) -> Iterator[_Request]:
    chosen = tuple(tasks) or None
    if isinstance(value, str):
        yield _Request(row, value, chosen)
    elif isinstance(value, (list, tuple)):
        yield _Request(row, tuple(value), chosen)
    else:
        yield from _of_object(row, value, model, chosen or tuple(model.tasks))


def _of_object(row: int, value: Mapping[str, Any], model: MultiTaskModel, tasks: Sequence[str]) -> Iterator[_Request]:
    """One request for each set of columns that some of the tasks read and the object has."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for name in tasks:
        by_columns.setdefault(model.tasks[name].inputs.columns, []).append(name)
    present = {columns: names for columns, names in by_columns.items() if all(column in value for column in columns)}
    if not present:
        wanted = " or ".join(" and ".join(columns) for columns in by_columns)
        raise RunError(f"an object has the keys {', '.join(value)}, but the tasks read {wanted}.")
    for columns, names in present.items():
        texts = tuple(_text(value[column]) for column in columns)
        yield _Request(row, texts[0] if len(texts) == 1 else texts, tuple(names))


def _text(cell: Any) -> str:
    """A cell as text; a list of words is joined."""
    return " ".join(map(str, cell)) if isinstance(cell, list) else str(cell)


def _alike(requests: Iterable[_Request]) -> Iterator[list[_Request]]:
    """Requests that can be answered in one pass."""
    groups: dict[Any, list[_Request]] = {}
    for request in requests:
        groups.setdefault((request.tasks, isinstance(request.text, str)), []).append(request)
    yield from groups.values()
