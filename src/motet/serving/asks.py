"""What a request asks for: a body of JSON, checked against the tasks of the model and the limits of the server.

All inputs of a request have one form:

    "a text"                                      for tasks that read one text
    ["a text", "another"]                         for tasks that read two
    {"query": "...", "candidates": ["...", ...]}  for tasks that order candidates
    {"column": "...", ...}                        for any task, by the columns of its recipe; others are ignored
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from motet.errors import nearest
from motet.serving.limits import Limits
from motet.serving.refusals import Refusal, shown
from motet.serving.request_schemas import word_columns
from motet.tasks.base import Task

__all__ = ["Ask", "Asked", "Part", "ranks", "read_body", "require_task"]

_KEYS = ("inputs", "tasks", "truncate")


class Part(NamedTuple):
    """A text as a model takes it, and the tasks that are to answer it.

    Args:
        text: a text, a tuple of texts, or a tuple of a query and the list of its candidates.
        tasks: that read it.
    """

    text: Any
    tasks: tuple[str, ...]


class Ask(NamedTuple):
    """One input: a part for every choice of columns that its tasks read."""

    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Texts or pairs to read; every candidate is one."""
        return max(len(part.text[1]) if ranks(part.text) else 1 for part in self.parts)


class Asked(NamedTuple):
    """A whole request.

    Args:
        asks: its inputs.
        truncate: whether a text may be read in part.
    """

    asks: tuple[Ask, ...]
    truncate: bool


def ranks(text: Any) -> bool:
    """Whether a text is a query with its candidates."""
    return isinstance(text, tuple) and isinstance(text[-1], list)


def read_body(body: bytes, tasks: Mapping[str, Task], limits: Limits, only: str | None = None) -> Asked:
    """A body as what it asks for.

    Args:
        body: as received.
        tasks: those that have an answer to a text.
        limits: on inputs and texts.
        only: the one task of the route; None where the body may name tasks.

    Raises:
        Refusal: it asks for nothing that could be answered.

    Example:
        >>> from motet.tasks.regression import Regression
        >>> read_body(b'{"inputs": "good"}', {"stars": Regression("stars", source="a.csv")}, Limits()).asks
        (Ask(parts=(Part(text='good', tasks=('stars',)),)),)
    """
    given = _json(body)
    keys = tuple(key for key in _KEYS if key != "tasks" or only is None)
    if not isinstance(given, dict):
        _content(f"The body must be an object, found {shown(given)}.", 'Send {"inputs": "a text"}.')
    for key in given:
        if key not in keys:
            _content(f"The body has the unknown key {shown(key)}.", nearest(str(key), keys))
    truncate = given.get("truncate", True)
    if not isinstance(truncate, bool):
        _content(f"`truncate` must be true or false, found {shown(truncate)}.", "Leave it out for true.")
    named = _named(given["tasks"], tasks) if "tasks" in given else (only,) if only is not None else ()
    inputs = _inputs(given, limits)
    asks = tuple(_ask(place, value, tasks, named, limits) for place, value in enumerate(inputs, 1))
    if sum(ask.rows for ask in asks) > limits.max_inputs:
        rows = sum(ask.rows for ask in asks)
        hint = f"Send at most {limits.max_inputs} at a time; every candidate counts."
        raise Refusal("too_large", f"{rows} candidates are too many for one request.", hint)
    return Asked(asks, truncate)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        reason = f"The body is not UTF-8: {error.reason} at byte {error.start}."
        raise Refusal("malformed", reason, "Encode the JSON as UTF-8.") from None
    except json.JSONDecodeError as error:
        reason = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise Refusal("malformed", reason, 'Send an object such as {"inputs": "a text"}.') from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else "a number in it is none of JSON's"
        hint = 'Send an object such as {"inputs": "a text"}.'
        raise Refusal("malformed", f"The body is not JSON that can be read: {reason}.", hint) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity, which Python would read


def _named(value: Any, tasks: Mapping[str, Task]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        _content(f"`tasks` must be a list of names, found {shown(value)}.", nearest("", tasks))
    for name in value:
        require_task(name, tasks)
    if len(set(value)) < len(value):
        _content("`tasks` names a task twice.", "Name each task once.")
    return tuple(value)


def require_task(name: str, tasks: Mapping[str, Task]) -> None:
    """Refuse the name of a task that is not served.

    Raises:
        Refusal: it is not; the hint has the nearest name.
    """
    if name not in tasks:
        raise Refusal("unknown_task", f"The model has no task {shown(name)} to answer texts.", nearest(name, tasks))


def _inputs(given: Mapping[str, Any], limits: Limits) -> Sequence[Any]:
    if "inputs" not in given:
        _content("The body has no `inputs`.", 'Send {"inputs": "a text"}, or a list of inputs.')
    inputs = given["inputs"] if isinstance(given["inputs"], list) else [given["inputs"]]
    if not inputs:
        _content("`inputs` is empty.", "Send at least one input.")
    if len(inputs) > limits.max_inputs:
        hint = f"Send at most {limits.max_inputs} at a time."
        raise Refusal("too_large", f"{len(inputs)} inputs are too many for one request.", hint)
    forms = [_form(value) for value in inputs]
    other = next((place for place, form in enumerate(forms) if form != forms[0]), None)
    if other is not None:
        error = f"Input 1 is {forms[0]}, and input {other + 1} is {forms[other]}."
        _content(error, "Send inputs of one form in one request.")
    return inputs


def _form(value: Any) -> str:
    if _is_query(value):
        return "a query with candidates"
    kinds = (("a text", str), ("a pair", list), ("an object", dict))
    return next((name for name, kind in kinds if isinstance(value, kind)), "none of what is read")


def _is_query(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("candidates"), list)


def _ask(place: int, value: Any, tasks: Mapping[str, Task], named: Sequence[str], limits: Limits) -> Ask:
    """One input, and who answers it."""
    text = _Texts(place, limits)
    if _is_query(value):
        return Ask((_query(text, value, tasks, named),))
    if isinstance(value, dict):
        return Ask(_of_object(text, value, tasks, named))
    if isinstance(value, str):
        read: Any = text(value)
    elif isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value):
        read = (text(value[0], "text 1"), text(value[1], "text 2"))
    else:
        hint = "An input is a text, a list of two texts, a query with candidates, or an object with columns."
        _content(f"Input {place} is none of these: {shown(value)}.", hint)
    width = 1 if isinstance(read, str) else 2
    found = "a text" if width == 1 else "a pair"
    return Ask((Part(read, _fitting(tasks, named, lambda task: len(task.inputs.columns) == width, place, found)),))


def _query(text: _Texts, value: Mapping[str, Any], tasks: Mapping[str, Task], named: Sequence[str]) -> Part:
    strange = next((key for key in value if key not in ("query", "candidates")), None)
    if strange is not None or "query" not in value:
        wrong = "has no `query`" if strange is None else f"has the unknown key {shown(strange)}"
        _content(f"Input {text.place} {wrong}.", 'Send {"query": "...", "candidates": ["...", "..."]}.')
    if not value["candidates"]:
        _content(f"Input {text.place} has no candidates.", "Send at least one.")
    fitting = _fitting(tasks, named, lambda task: bool(task.group), text.place, "a query with candidates")
    if len(value["candidates"]) > text.limits.max_inputs:
        hint = f"Send at most {text.limits.max_inputs} at a time."
        raise Refusal("too_large", f"{len(value['candidates'])} candidates are too many for one request.", hint)
    read = [text(cell, f"candidate {number}") for number, cell in enumerate(value["candidates"], 1)]
    return Part((text(value["query"], "the query"), read), fitting)


def _of_object(
    text: _Texts, value: Mapping[str, Any], tasks: Mapping[str, Task], named: Sequence[str]
) -> tuple[Part, ...]:
    """A part for every choice of columns that the object has and some of the tasks read."""
    for name in named:
        missing = next((column for column in tasks[name].inputs.columns if column not in value), None)
        if missing is not None:
            has = f"it has {', '.join(map(shown, value)) or 'nothing'}"
            _content(
                f"Input {text.place} lacks `{missing}`, which the task `{name}` reads; {has}.", _spelt(tasks[name])
            )
    cells = _cells(text, value, tasks)
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for name in named or tasks:
        columns = tasks[name].inputs.columns
        if cells.keys() >= set(columns):
            by_columns.setdefault(columns, []).append(name)
    if not by_columns:
        able = sorted({" and ".join(task.inputs.columns) for task in tasks.values()})
        _content(f"Input {text.place} has no columns that a task reads.", f"The tasks read {' or '.join(able)}.")
    read = {columns: tuple(cells[column] for column in columns) for columns in by_columns}
    return tuple(
        Part(read[columns][0] if len(columns) == 1 else read[columns], tuple(names))
        for columns, names in by_columns.items()
    )


def _cells(text: _Texts, value: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, str]:
    """The texts of an object in columns that tasks read."""
    words = word_columns(tasks)
    known = dict.fromkeys(column for task in tasks.values() for column in task.inputs.columns)
    return {
        column: text.words(value[column], f"`{column}`") if column in words else text(value[column], f"`{column}`")
        for column in known
        if column in value
    }


def _fitting(
    tasks: Mapping[str, Task], named: Sequence[str], reads: Callable[[Task], bool], place: int, found: str
) -> tuple[str, ...]:
    """The tasks named, or all that read such an input."""
    wrong = next((name for name in named if not reads(tasks[name])), None)
    if wrong is not None:
        _content(f"Input {place} is {found}, which the task `{wrong}` does not read.", _spelt(tasks[wrong]))
    fitting = tuple(named or (name for name, task in tasks.items() if reads(task)))
    if not fitting:
        able = " ".join(dict.fromkeys(map(_spelt, tasks.values())))
        _content(f"Input {place} is {found}, which no task of the model reads.", able)
    return fitting


def _spelt(task: Task) -> str:
    """How an input of a task is written."""
    columns = task.inputs.columns
    if task.group:
        return f'`{task.name}` reads {{"query": "...", "candidates": ["...", "..."]}}.'
    if len(columns) == 1:
        return f"`{task.name}` reads a text, or an object with `{columns[0]}`."
    if len(columns) == 2:
        return f'`{task.name}` reads a pair, and a pair stands in a list of inputs: [["...", "..."]].'
    return f"`{task.name}` reads an object with {', '.join(f'`{column}`' for column in columns)}."


class _Texts:
    """Looks at the texts of one input.

    Args:
        place: of the input, from 1.
        limits: on texts.
    """

    def __init__(self, place: int, limits: Limits) -> None:
        self.place, self.limits = place, limits

    def __call__(self, value: Any, which: str = "") -> str:
        where = f"Input {self.place}{which and ', '}{which}"
        if not isinstance(value, str):
            _content(f"{where} must be a text, found {shown(value)}.", "Put texts in double quotes.")
        if not value:
            _content(f"{where} is an empty text.", "Leave it out, or send what is to be read.")
        if len(value) > self.limits.max_characters:
            hint = f"Send at most {self.limits.max_characters} characters, or the text in parts."
            raise Refusal("too_large", f"{where} has {len(value)} characters.", hint)
        if _broken(value):
            hint = "A character outside the basic plane is two \\u escapes, a high and a low one."
            _content(f"{where} holds half of a surrogate pair, which is no character.", hint)
        return value

    def words(self, value: Any, which: str) -> str:
        """A text, or a list of words that become one."""
        if not isinstance(value, list):
            return self(value, which)
        words = [self(word, f"{which}, word {number}") for number, word in enumerate(value, 1)]
        spaced = next((word for word in words if word.split() != [word]), None)
        if not words or spaced is not None:
            found = "no word" if spaced is None else f"white space in the word {shown(spaced)}"
            _content(f"Input {self.place}, {which} has {found}.", "Send a text, or a list of words without spaces.")
        return self(" ".join(words), which)


def _broken(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _content(error: str, hint: str) -> NoReturn:
    raise Refusal("bad_content", error, hint)
