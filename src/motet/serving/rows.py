"""Lines of text and JSON as what a model answers, and the answers in the same order."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from motet.answering import answerable, require_tasks
from motet.errors import RunError
from motet.serving.ranks import Ranks

if TYPE_CHECKING:
    from motet.answering import Answering

__all__ = ["BATCH", "answers", "complete", "read_lines"]

BATCH = 64


class _Request(NamedTuple):
    """What to ask a model for one row: a text or several, and the tasks; None for all that fit."""

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


def answers(
    model: Answering, values: Iterable[Any], tasks: Sequence[str] = (), first: int = 1
) -> Iterator[dict[str, Any]]:
    """Answers to texts, pairs and objects, in their order, a batch at a time.

    A candidate is ranked among those of its query, whose rows must follow each other; their answers are held back
    until the last of them is there.

    Args:
        model: a model.
        values: what `read_lines` gives.
        tasks: those to answer; all that fit if there is none.
        first: the number of the first of the values, for messages.

    Raises:
        RunError: an unknown task, or a value that no task can read; names the row.

    Example:
        >>> import motet
        >>> list(answers(motet.load("runs/first"), ["a warm day", {"text": "rain"}]))  # doctest: +SKIP
    """
    for together in complete(model, values, tasks, first):
        yield from together


def complete(
    model: Answering, values: Iterable[Any], tasks: Sequence[str], first: int = 1
) -> Iterator[list[dict[str, Any]]]:
    """The same in lists; what comes after one of them has nothing to do with what came before."""
    require_tasks(model.tasks, tasks)
    ranks = Ranks(model.tasks)
    stream = enumerate(values, first)
    while batch := dict(islice(stream, BATCH)):
        for row, answer in _answered(model, batch, tasks).items():
            if done := ranks.take(row, batch[row], answer):
                yield list(map(_finite, done))
    yield list(map(_finite, ranks.rest()))


def _answered(model: Answering, batch: Mapping[int, Any], tasks: Sequence[str]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {row: {} for row in batch}
    requests = [request for row, value in batch.items() for request in _requests(row, value, model, tasks)]
    for together in _alike(requests):
        wanted = None if together[0].tasks is None else list(together[0].tasks)
        try:
            answered = model.predict([request.text for request in together], wanted)
        except RunError as error:
            raise RunError(f"row {together[0].row}: {error}") from error
        for request, answer in zip(together, answered, strict=True):
            found[request.row].update(answer)
    return found


def _value(line: str, place: str) -> Any:
    if line[0] not in '{["':
        return line
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise RunError(f"{place}: begins like JSON but is not ({error.msg} at character {error.pos + 1}).") from error


def _requests(row: int, value: Any, model: Answering, tasks: Sequence[str]) -> Iterator[_Request]:
    chosen = tuple(tasks) or None
    if isinstance(value, str):
        yield _Request(row, value, chosen)
    elif isinstance(value, Mapping):
        yield from _of_object(row, value, model, chosen or tuple(answerable(model.tasks)))
    elif isinstance(value, (list, tuple)) and value and all(isinstance(part, str) for part in value):
        yield _Request(row, tuple(value), chosen)
    else:
        raise RunError(f"row {row}: must be a text, a list of texts or an object, found {_shown(value)}.")


def _of_object(row: int, value: Mapping[str, Any], model: Answering, tasks: Sequence[str]) -> Iterator[_Request]:
    """One request for each set of columns that some of the tasks read and the object has."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for name in tasks:
        by_columns.setdefault(model.tasks[name].inputs.columns, []).append(name)
    given = {column: cell for column, cell in value.items() if cell is not None}
    present = {columns: names for columns, names in by_columns.items() if given.keys() >= set(columns)}
    if not present:
        wanted = " or ".join(" and ".join(columns) for columns in by_columns) or "nothing"
        raise RunError(f"row {row}: an object has {', '.join(given) or 'nothing'}, but the tasks read {wanted}.")
    for columns, names in present.items():
        texts = tuple(_text(row, column, given[column]) for column in columns)
        yield _Request(row, texts[0] if len(texts) == 1 else texts, tuple(names))


def _text(row: int, column: str, cell: Any) -> str:
    """A cell as text; a list of words is joined."""
    words = cell if isinstance(cell, list) else [cell]
    if any(isinstance(word, (list, dict)) or word is None for word in words):
        raise RunError(f"row {row}: `{column}` must be a text or a list of words, found {_shown(cell)}.")
    return " ".join(map(str, words))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _alike(requests: Iterable[_Request]) -> Iterator[list[_Request]]:
    """Requests that can be answered in one pass."""
    groups: dict[Any, list[_Request]] = {}
    for request in requests:
        width = 1 if isinstance(request.text, str) else len(request.text)
        groups.setdefault((request.tasks, width), []).append(request)
    yield from groups.values()


def _finite(value: Any) -> Any:
    """The same with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
