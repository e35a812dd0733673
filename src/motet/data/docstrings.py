"""The bundled source: documentation strings of the Python standard library on this machine.

Every documented function, method and class gives one row, read with `ast` and never imported. Texts repeat in no two
splits, and a module lies in one split as a whole. The rows depend on the installed Python alone.

    area            which part of the library the module belongs to
    kind            function, method or class
    tokens          the words of the text
    parameter_tags  P for a word that is the name of a parameter, O for any other; null without parameters
    parameters      how many parameters there are, `self` left out; null for classes
    name, belongs   words of an identifier, and whether it is the one that the text is about
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from motet.data.cache import build_once, cache_folder
from motet.data.documented import Documented, documented
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.tasks.tagging import Tagging

__all__ = ["build", "docstrings_folder", "tasks"]

_FORMAT = "1"  # part of the folder's name; raise it when the rows change
_SHARES = {"test": 0.15, "validation": 0.1}


def tasks() -> list[Task]:
    """Five tasks of different shape and difficulty over the bundled source.

    Example:
        >>> [task.name for task in tasks()]
        ['area', 'kind', 'parameters', 'parameter_count', 'name_match']
    """
    source = "docstrings"
    return [
        Classification("area", source=source, label="area", metric="macro_f1"),
        Classification("kind", source=source, label="kind", metric="macro_f1"),
        Tagging("parameters", source=source, labels="parameter_tags", metric="token_macro_f1"),
        Regression("parameter_count", source=source, value="parameters"),
        Classification("name_match", source=source, text=("name", "text"), label="belongs"),
    ]


def docstrings_folder() -> Path:
    """The folder with the bundled source, built at the first call for each version of Python.

    Raises:
        DataError: the cache cannot be written.
    """
    return build_once(cache_folder() / f"docstrings-{platform.python_version()}-{_FORMAT}", build)


def build(folder: Path) -> None:
    """Write ``train``, ``validation`` and ``test`` as ``.jsonl.gz`` files, the same bytes at every call."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _without_repeats(documented(Path(sysconfig.get_path("stdlib"))))
    split_of = _split_modules(found)
    for split in ("train", "validation", "test"):
        rows = _rows([one for one in found if split_of[one.module] == split])
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        # A time or name in the header of the archive would make every copy a different file.
        (folder / f"{split}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), compresslevel=6, mtime=0))


def _without_repeats(found: Iterable[Documented]) -> list[Documented]:
    """The first of those whose texts have the same words."""
    first: dict[str, Documented] = {}
    for one in found:
        first.setdefault(" ".join(re.findall(r"\w+", one.text.casefold())), one)
    return list(first.values())


def _split_modules(found: Sequence[Documented]) -> dict[str, str]:
    """The split of every module: in each area, modules are dealt to test and validation while they have room."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        sizes[one.area][one.module] += 1
    split_of = {}
    for modules in sizes.values():
        room = {split: share * modules.total() for split, share in _SHARES.items()}
        for module in sorted(modules, key=_rank):
            split = next((split for split in room if modules[module] <= room[split]), "train")
            split_of[module] = split
            if split != "train":
                room[split] -= modules[module]
    return split_of


def _rank(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _rows(found: Sequence[Documented]) -> list[dict[str, Any]]:
    names = _exchange_names(found)
    seen: Counter[str] = Counter()
    rows = []
    for one, name in zip(found, names, strict=True):
        full = f"{one.module}.{one.name}"
        seen[full] += 1
        tokens = re.findall(r"\w+(?:['-]\w+)*|[^\w\s]", one.text)
        rows.append(
            {
                "id": full if seen[full] == 1 else f"{full}~{seen[full]}",
                "text": one.text,
                "area": one.area,
                "kind": one.kind,
                "tokens": tokens,
                "parameter_tags": ["P" if word in one.parameters else "O" for word in tokens]
                if one.parameters
                else None,
                "parameters": None if one.parameters is None else len(one.parameters),
                "name": name,
                "belongs": "yes" if name == one.words else "no",
            }
        )
    return rows


def _exchange_names(found: Sequence[Documented]) -> list[str]:
    """A name for every object: half of them keep theirs, the others pass theirs round.

    They pass it to an object of the same area and kind, so that neither tells, and every name is used as often as it
    occurs, so that the name alone tells nothing.
    """
    alike = defaultdict(list)
    for position, one in enumerate(found):
        alike[one.area, one.kind].append(position)
    names = [one.words for one in found]
    for positions in alike.values():
        ordered = sorted(positions, key=lambda position: _rank(f"{found[position].module} {found[position].text}"))
        passing = ordered[: len(ordered) // 2]
        for giver, taker in zip(passing, passing[1:] + passing[:1], strict=True):
            names[taker] = found[giver].words
    return names
