"""What the columns of some rows hold, and the rows as Arrow.

Types are found by looking at every row, so a column is never guessed from the first thousand, a date stays the text
it is, and a column that mixes text and numbers is told apart from one that does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from motet.errors import DataError, Problem

__all__ = ["Row", "Rows", "as_text", "batches", "in_words", "schema_of"]

Row = tuple[str, Mapping[str, Any]]  # where it stands ("line 3"), and its cells
Rows = Callable[[], Iterable[Row]]  # reads the rows from the start, every time it is called

_WHOLE, _NUMBER, _HUGE, _LIST, _OBJECT = "a whole number", "a number", "a number beyond 64 bits", "a list", "an object"
_KINDS = {bool: "true or false", int: _WHOLE, float: _NUMBER, str: "text", list: _LIST, dict: _OBJECT}
_SCALARS = {"true or false": pa.bool_(), "text": pa.string(), _WHOLE: pa.int64(), _NUMBER: pa.float64()}
_BATCH = 1000


class Shape:
    """What has been seen in one column, or inside its lists and objects: each kind, and where first."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self.inside: dict[str, Shape] = {}

    def see(self, value: Any, place: str) -> None:
        """Take note of one value."""
        if value is None:
            return
        kind = _KINDS.get(type(value), type(value).__name__)
        if kind == _WHOLE and not -(2**63) <= value < 2**63:
            kind = _HUGE
        self.first.setdefault(kind, place)
        if kind == _LIST:
            shape = self.inside.setdefault("", Shape())
            for item in value:
                shape.see(item, place)
        elif kind == _OBJECT:
            for name, item in value.items():
                self.inside.setdefault(name, Shape()).see(item, place)

    @property
    def conflict(self) -> str:
        """The kinds that do not fit one Arrow type, in words; empty if all fit."""
        kinds = set(self.first)
        if kinds <= {_WHOLE, _NUMBER} or (len(kinds) == 1 and kinds <= {*_SCALARS, _LIST, _OBJECT}):
            return next((shape.conflict for shape in self.inside.values() if shape.conflict), "")
        return ", ".join(f"{kind} ({place})" for kind, place in self.first.items())

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that holds everything seen, when there is no conflict."""
        if _LIST in self.first:
            return pa.list_(self.inside[""].arrow)
        if _OBJECT in self.first:
            return pa.struct([pa.field(name, shape.arrow) for name, shape in self.inside.items()])
        if _NUMBER in self.first:
            return pa.float64()
        return _SCALARS[next(iter(self.first))] if self.first else pa.null()


def schema_of(rows: Rows) -> tuple[pa.Schema, dict[str, str]]:
    """The Arrow schema of some rows, and the columns that mix kinds, with what they mix.

    A mixed column is stored as text: what was text as it is, everything else as JSON.
    """
    shapes: dict[str, Shape] = {}
    for place, cells in rows():
        for name, value in cells.items():
            shapes.setdefault(name, Shape()).see(value, place)
    mixed = {name: shape.conflict for name, shape in shapes.items() if shape.conflict}
    return pa.schema([(name, pa.string() if name in mixed else shape.arrow) for name, shape in shapes.items()]), mixed


def batches(rows: Rows, schema: pa.Schema, mixed: Mapping[str, str], origin: str) -> Iterator[pa.RecordBatch]:
    """The rows as Arrow, a thousand at a time.

    Raises:
        DataError: a cell that Arrow cannot hold, such as half a surrogate pair; names `origin` and the place.
    """
    stream = iter(rows())
    while chunk := list(islice(stream, _BATCH)):
        cells = [_mixed_as_text(row, mixed) if mixed else row for _, row in chunk]
        try:
            yield pa.RecordBatch.from_pylist(cells, schema=schema)
        except (pa.ArrowException, UnicodeEncodeError):
            for (place, _), row in zip(chunk, cells, strict=True):
                _try(row, schema, origin, place)
            raise


def in_words(kind: pa.DataType) -> str:
    """What a column of an Arrow type holds."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"lists of {in_words(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"objects ({', '.join(f'{field.name}: {in_words(field.type)}' for field in kind)})"
    words = {
        "text": pa.types.is_string(kind) or pa.types.is_large_string(kind),
        "nothing": pa.types.is_null(kind),
        "whole numbers": pa.types.is_integer(kind),
        "numbers": pa.types.is_floating(kind),
        "true or false": pa.types.is_boolean(kind),
    }
    return next((word for word, fits in words.items() if fits), str(kind))


def as_text(value: Any) -> str | None:
    """A value as a column of text holds it: text as it is, everything else as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _try(row: Mapping[str, Any], schema: pa.Schema, origin: str, place: str) -> None:
    try:
        pa.RecordBatch.from_pylist([row], schema=schema)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise DataError(Problem(f"{origin}, {place}", f"cannot be stored: {error}")) from error


def _mixed_as_text(row: Mapping[str, Any], mixed: Mapping[str, str]) -> dict[str, Any]:
    return {name: as_text(value) if name in mixed else value for name, value in row.items()}
