"""Names in code for what people have named: generators of clients make classes and constants of them.

A generator that makes one name of two labels drops a label or stops, so names are told apart here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["classes", "constants"]

_LONGEST = 60  # characters of a class, since generators name files by it


def classes(names: Iterable[str]) -> list[str]:
    """A name of a class for each name, no two of which differ by capitals alone.

    Example:
        >>> classes(["mood", "Mood", "to-pics", "日本", "2nd"])
        ['Mood', 'Mood2', 'ToPics', 'Name', 'Name2nd']
    """
    words = (_words(name, "Name") for name in names)
    return _apart(["".join(word[0].upper() + word[1:] for word in of_name)[:_LONGEST] for of_name in words])


def constants(labels: Sequence[str]) -> list[str]:
    """A name of a constant for each label, no two of which differ by underscores alone.

    Example:
        >>> constants(["a b", "a-b", "Zürich", "1", "!"])
        ['A_B', 'A_B2', 'ZURICH', 'VALUE_1', 'VALUE']
    """
    return _apart(["_".join(_words(label, "value")).upper() for label in labels])


def _words(name: str, before: str) -> list[str]:
    """What of a name is letters and digits of ASCII, behind a word for where it does not begin with a letter."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.findall(r"[0-9A-Za-z]+", plain)
    return words if words and words[0][0].isalpha() else [before, *words]


def _apart(names: Iterable[str]) -> list[str]:
    """The names, those that come again with a number."""
    found: dict[str, str] = {}
    for name in names:
        number, own = 1, name
        while _folded(own) in found:
            number += 1
            own = f"{name}{number}"
        found[_folded(own)] = own
    return list(found.values())


def _folded(name: str) -> str:
    return name.replace("_", "").lower()
