from __future__ import annotations

from pathlib import Path

import pytest

from motet.data.documented import Documented, documented

MODULE = '''
def readAll(path, /, *more, limit=1, **rest):
    """ReadAll lines of path
    up to the limit."""

    async def inner(path):
        """An inner function: asyncio.inner, INNER and inner_most."""


class Box:
    """Something to put things into."""

    def __init__(self, size):
        """Too short."""

    @staticmethod
    def make(cls, n):
        """Make a copy of cls."""

    if True:
        def late(self):
            """Comes late, by 5 minutes."""
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name, text in {
        "json/__init__.py": MODULE,
        "json/tool.py": 'def long():\n    "' + "word " * 100 + '"\n',
        "broken.py": "def f(:\n",
        "nothing.py": b"\x00".decode(),
        "old.py": 'def f():\n    "An escape \\d of old."\n',
        "test/module.py": MODULE,
        "site-packages/module.py": MODULE,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_all_documented_objects(library: Path) -> None:
    assert list(documented(library))[:5] == [
        Documented(
            "json", "readAll", "function", ("path", "more", "limit", "rest"), "this lines of path up to the limit."
        ),
        Documented("json", "readAll.inner", "function", ("path",), "An this function: this, this and inner_most."),
        Documented("json", "Box", "class", None, "Something to put things into."),
        Documented("json", "Box.make", "method", ("cls", "n"), "this a copy of cls."),
        Documented("json", "Box.late", "method", (), "Comes this, by 5 minutes."),
    ]
    long, old = list(documented(library))[5:]
    assert (long.module, len(long.text.split())) == ("json.tool", 60)
    assert (old.module, old.text) == ("old", "An escape \\d of old.")


def test_areas(library: Path) -> None:
    assert {one.module: one.area for one in documented(library)} == {
        "json": "text",
        "json.tool": "text",
        "old": "language",
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("read_csv", "read csv"),
        ("HTTPServer", "http server"),
        ("Box.getIPv4Address2", "get i pv 4 address 2"),
        ("__init__", "init"),
        ("_private", "private"),
    ],
)
def test_identifiers_as_words(name: str, words: str) -> None:
    assert Documented("module", name, "function", (), "text").words == words
