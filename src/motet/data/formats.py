"""Text files of examples: each format is a way to read rows from lines; all else is the same for every format.

    .jsonl .ndjson .json    one object a line (.json may also be one list of objects)
    .csv .tsv               a header, then one row a line; an empty cell is missing, any other text stands for itself
    .conll .bio .iob        one word a line, columns apart by tabs or spaces, a blank line after each sentence
    .conllu                 the same with the ten columns of Universal Dependencies

Every reader raises `DataError` with the file and the line of the first thing that it cannot read.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from motet.data.columns import Row
from motet.errors import DataError, Problem

__all__ = ["READERS", "suffix_of"]

Converter = Callable[[str], Any]

# 007, +49 and numbers too long for 64 bits are codes, not numbers
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]{0,17})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_UNIVERSAL = ("id", "tokens", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def suffix_of(path: Path) -> str:
    """The suffix that tells the format, in lower case and without `.gz`."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def _bad(path: Path, line: int, rule: str, remedy: str = "") -> DataError:
    return DataError(Problem(str(path), rule, remedy=remedy, line=line))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers. Only a newline ends a line, as JSON Lines wants it."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        rule = f"is not UTF-8 text: byte {error.start + 1} of the line is {error.object[error.start]:#x}"
        raise _bad(path, number, rule, "Save the file as UTF-8.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        rule = f"cannot be unpacked any further: the file is damaged or broken off ({error})"
        raise _bad(path, number + 1, rule, "Was it copied completely?") from error


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in _lines(path):
        if number == 1 and line.lstrip().startswith("[") and suffix_of(path) == ".json":
            yield from _json_list(path)
            return
        if line.strip():
            yield f"line {number}", _json_object(line, path, number)


def _json_object(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise _bad(path, number, f"is not JSON: {error.msg} at character {error.pos + 1}") from error
    if not isinstance(value, dict):
        raise _bad(path, number, f"must hold one object, found {line.strip()[:40]}")
    return value


def _json_list(path: Path) -> Iterator[Row]:
    try:
        values = json.loads("".join(line for _, line in _lines(path)))
    except json.JSONDecodeError as error:
        raise _bad(path, error.lineno, f"is not JSON: {error.msg} at character {error.colno}") from error
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise DataError(Problem(f"{path}, item {number}", f"must be an object, found {json.dumps(value)[:40]}"))
        yield f"item {number}", value


def _table_rows(path: Path) -> Iterator[Row]:
    quoting, converters = _survey(path)
    for number, cells in _cells(path, quoting):
        yield f"line {number}", {name: converters[name](cell) if cell else None for name, cell in cells.items()}


def _survey(path: Path) -> tuple[int, dict[str, Converter]]:
    """How quotes are to be read, and whether each column holds whole numbers, numbers or text.

    Tab-separated files come quoted, as spreadsheets write them, or raw with quotes that mean themselves; a file that
    cannot be the first is read as the second.
    """
    try:
        return csv.QUOTE_MINIMAL, _converters(_cells(path, csv.QUOTE_MINIMAL))
    except DataError:
        if suffix_of(path) != ".tsv":
            raise
        return csv.QUOTE_NONE, _converters(_cells(path, csv.QUOTE_NONE))


def _converters(rows: Iterable[tuple[int, Mapping[str, str]]]) -> dict[str, Converter]:
    converters: dict[str, Converter] = {}
    for _, cells in rows:
        for name, cell in cells.items():
            known = converters.setdefault(name, int)
            if known is str or not cell or (known is int and _WHOLE.fullmatch(cell)):
                continue
            converters[name] = float if _NUMBER.fullmatch(cell) else str
    return converters


def _cells(path: Path, quoting: int) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a delimited file as text, with the line on which each begins."""
    header: list[str] = []
    ended = 0
    limit = csv.field_size_limit(1 << 30)  # documents may be longer than the standard limit of 128 KiB
    try:
        text = (line for _, line in _lines(path))
        reader = csv.reader(text, delimiter=_delimiter(path), quoting=quoting, strict=True)  # type: ignore[arg-type]
        for cells in reader:
            number, ended = ended + 1, reader.line_num
            if cells and header:
                yield number, _row(cells, header, path, number)
            elif cells:
                header = _header(cells, path, number)
    except csv.Error as error:
        raise _bad(path, ended + 1, f"is not a row of cells: {error}", "Is a quote left open?") from error
    finally:
        csv.field_size_limit(limit)


def _delimiter(path: Path) -> str:
    if suffix_of(path) == ".tsv":
        return "\t"
    header = next((line for _, line in _lines(path)), "")
    return max(",;\t", key=header.count)


def _header(cells: list[str], path: Path, number: int) -> list[str]:
    names = [name.strip() or f"column_{position}" for position, name in enumerate(cells)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _bad(path, number, f"the header must name each column once, found twice: {', '.join(twice)}")
    return names


def _row(cells: list[str], header: list[str], path: Path, number: int) -> dict[str, str]:
    if len(cells) != len(header):
        raise _bad(path, number, f"must have {len(header)} cells as the header has, found {len(cells)}")
    return dict(zip(header, cells, strict=True))


def _sentence_rows(path: Path) -> Iterator[Row]:
    universal = suffix_of(path) == ".conllu"
    words: list[list[str]] = []
    start = width = 0
    for number, line in chain(_lines(path), [(0, "")]):
        cells = _columns_of_word(line)
        if not line.strip():
            if words and words[0][0] != "-DOCSTART-":
                yield f"line {start}", _sentence(words, universal)
            words = []
        elif not _is_comment(line, universal, bool(words), len(cells) == width):
            width = width or (len(_UNIVERSAL) if universal else len(cells))
            if len(cells) != width:
                raise _bad(path, number, f"must have {width} columns as the lines before it, found {len(cells)}")
            start = start if words else number
            words.append(cells)


def _columns_of_word(line: str) -> list[str]:
    bare = line.rstrip("\r\n")
    return bare.split("\t") if "\t" in bare else re.split(" +", bare.strip(" "))


def _is_comment(line: str, universal: bool, inside: bool, fits: bool) -> bool:
    """A hash may also be a word: outside Universal Dependencies it opens a comment only before a sentence."""
    return line.startswith("#") if universal else line.startswith("# ") and not inside and not fits


def _sentence(words: list[list[str]], universal: bool) -> dict[str, list[str]]:
    if universal:
        plain = [word for word in words if word[0].isdigit()]  # 3-4 joins words that follow, 5.1 is not in the text
        return {name: [word[i] for word in plain] for i, name in enumerate(_UNIVERSAL) if name != "id"}
    columns = zip(*words, strict=True)
    return {f"column_{i}" if i else "tokens": list(column) for i, column in enumerate(columns)}


READERS: dict[str, Callable[[Path], Iterable[Row]]] = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), _json_rows),
    **dict.fromkeys((".csv", ".tsv"), _table_rows),
    **dict.fromkeys((".conll", ".bio", ".iob", ".conllu"), _sentence_rows),
}
