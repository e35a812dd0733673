"""A first recipe from data: by the card of a data set where there is one, else by a guess at its columns.

The recipe has the default encoder, which writes no texts. Only where every task has to write does it name another.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from motet.data.sources import Source, read
from motet.errors import RecipeError
from motet.recipe.cards import Found, tasks_of_card
from motet.recipe.guess import guess
from motet.recipe.writing import to_yaml

__all__ = ["Draft", "draft"]

_WRITER = "google-t5/t5-small"


@dataclass(frozen=True)
class Draft:
    """A recipe to begin with.

    Args:
        text: the recipe.
        notes: what was guessed and what was left out, in sentences.
    """

    text: str
    notes: tuple[str, ...]


def draft(data: Sequence[Path], folder: Path) -> Draft:
    """Write a recipe for some data.

    Args:
        data: files of examples, and folders with a file for each split.
        folder: where the recipe will lie; paths are written as seen from there.

    Raises:
        DataError: a file or folder cannot be read.
        RecipeError: nothing in them is a task that motet knows.
    """
    notes: list[str] = []
    paths = dict(zip(_distinct([_stem(path) for path in data]), data, strict=True))
    every = [task for source, path in paths.items() for task in _tasks(source, path, notes)]
    if not every:
        raise RecipeError("\n".join(["There is no task in this data that motet knows.", *notes]))
    found = [task for task in every if not task.writes] or every
    notes += _about_writing(every, left_out=found is not every)
    names = _distinct([task.name if _once(task, found) else f"{task.source}-{task.name}" for task in found])
    used = {task.source for task in found}
    recipe = {
        **({"encoder": _WRITER} if found[0].writes else {}),
        "sources": {name: {"path": _seen_from(path, folder)} for name, path in paths.items() if name in used},
        "tasks": {name: task.keys for name, task in zip(names, found, strict=True)},
        "training": {"steps": 1000},
    }
    return Draft(to_yaml(recipe), tuple(notes))


def _tasks(source: str, path: Path, notes: list[str]) -> Iterable[Found]:
    card = path / "dataset.json"
    if card.is_file():
        yield from tasks_of_card(source, card, notes)
        return
    keys = guess(read(Source(str(path))))
    if not keys:
        notes.append(f"{path}: no column looks like the answer to a text; left out.")
        return
    columns = ", ".join(f"{key} {value}" for key, value in keys.items() if key != "type")
    notes.append(f"{path}: guessed a {keys['type']} ({columns}).")
    yield Found(source, source, {"type": keys.pop("type"), "source": source, **keys})


def _about_writing(found: Iterable[Found], left_out: bool) -> Iterable[str]:
    for task in (task for task in found if task.writes):
        needs = f"{task.source}: `{task.name}` writes texts, which takes an encoder-decoder or a decoder"
        yield f"{needs} such as {_WRITER}; it is left out." if left_out else f"{needs}: the recipe names {_WRITER}."


def _stem(path: Path) -> str:
    return path.resolve().name.partition(".")[0]


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each with a number where it comes again."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _once(task: Found, found: Sequence[Found]) -> bool:
    return sum(other.name == task.name for other in found) == 1


def _seen_from(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
