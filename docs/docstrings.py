"""Docstrings as Markdown: their parts, with names of methods turned into links."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Docstring", "entries", "example", "markdown", "parse"]

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Relations|Example|Source):(.*)$")
_SPAN = re.compile(r"(``.+?``|`[^`]+`)")
_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


class Docstring(NamedTuple):
    """What stands in a docstring.

    Args:
        summary: its first paragraph.
        body: what follows, up to the first section.
        sections: by title, without indentation.
    """

    summary: str
    body: str
    sections: dict[str, str]


def parse(thing: Any) -> Docstring:
    """The parts of the docstring of a class or a function."""
    parts: dict[str, list[str]] = {"": []}
    title = ""
    for line in inspect.cleandoc(thing.__doc__ or "").splitlines():
        found = _SECTION.match(line)
        if found:
            title = found[1]
            parts.setdefault(title, []).append(found[2].strip())
        elif title == "Source" and not line:  # a paragraph, and not an indented block
            title = ""
        else:
            parts[title].append(line)
    summary, _, body = "\n".join(parts.pop("")).strip().partition("\n\n")
    sections = {name: "\n".join(lines).strip("\n") for name, lines in parts.items()}
    return Docstring(summary, body.strip(), sections)


def entries(section: str) -> dict[str, str]:
    """Names and sentences under `Args:`, `Attributes:` or `Raises:`."""
    return {name: " ".join(text.split()) for name, text in _ENTRY.findall(section)}


def example(section: str) -> str:
    """The lines under `Example:` as a block, without what is said to doctest alone."""
    lines = re.sub(r" *# doctest: .*$", "", inspect.cleandoc(section), flags=re.MULTILINE)
    return f"```pycon\n{lines}\n```"


def markdown(text: str, link: Callable[[str], str] = lambda name: "") -> str:
    """Prose of a docstring for a page: nothing outside of code is markup, and names that are known are links.

    Args:
        text: with code in single or double backticks; blocks that are indented by four spaces are code.
        link: the address of the page about a name; empty where there is none.
    """
    return "\n".join(_prose(paragraph, link) for paragraph in _undented(text).split("\n"))


def _undented(text: str) -> str:
    """Without the indentation of a section; that of code inside it stays."""
    lines = text.splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    first = lines[0].strip() if lines and lines[0].strip() else None
    rest = [line[margin:] for line in lines[1:]] if first is not None else [line[margin:] for line in lines]
    return "\n".join([first, *rest] if first is not None else rest).strip("\n")


def _prose(line: str, link: Callable[[str], str]) -> str:
    if line.startswith("    "):
        return line
    return "".join(_code(part, link) if part.startswith("`") else _plain(part) for part in _SPAN.split(line))


def _plain(text: str) -> str:
    return re.sub(r"([\\*_<\[])", r"\\\1", text)


def _code(span: str, link: Callable[[str], str]) -> str:
    name = span.strip("`")
    address = link(name)
    return f"[`{name}`]({address})" if address else f"`{name}`"
