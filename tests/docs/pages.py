"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: where it stands, what stands behind its fence, and what is in it."""

    name: str
    info: str
    text: str

    @property
    def page(self) -> str:
        return self.name.partition(":")[0]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(f"{page.relative_to(ROOT).as_posix()}:{line}", found[1].strip(), found[2])


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(*infos: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    chosen = [block for block in BLOCKS if block.info in infos]
    return pytest.mark.parametrize("block", chosen, ids=lambda block: block.name)


def command_lines(block: Block) -> Iterator[list[str]]:
    """The words of every command in a block; a line that ends with a backslash goes on, and a pipe has several."""
    for line in re.sub(r"\\\n| \| ", lambda found: " " if "\n" in found[0] else "\n", block.text).splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # a variable of the environment
            words = words[1:]
        if words:
            yield words


def maker(name: str) -> Any:
    """One of the scripts in the folder of the documentation, as a module."""
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    return importlib.import_module(name)
