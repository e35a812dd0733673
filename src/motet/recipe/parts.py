"""What a recipe may hold, drawn from the parts themselves: sections, keys, their types, defaults and sentences.

There is no second description of the keys: the fields of the dataclasses are the keys, their types are what values
are held against, and the `Args:` of the docstrings are the comments that `motet fill` writes. (Importing the base
class of a kind imports its package, and that registers the parts.)

    >>> default_name(Experiment, "sampler")
    'temperature'
    >>> sentences(classes_of("sampler")["temperature"])["temperature"]
    '1 is proportional, infinity is uniform.'
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

from motet.architectures.base import Architecture
from motet.balancing.base import Balance
from motet.balancing.regularisers.base import Regulariser
from motet.data.sources import Source
from motet.encoders.loading import Encoder
from motet.registry import Kind, find, names, part_name
from motet.sampling.base import Sampler
from motet.tasks.base import Task
from motet.training.beginning import Start
from motet.training.convergence import PRESETS, Convergence
from motet.training.experiment import Experiment
from motet.training.pretrained_teachers import PretrainedTeacher
from motet.training.responses import Response
from motet.training.schedules.base import Schedule

__all__ = [
    "KINDS",
    "SECTIONS",
    "class_of_list",
    "classes_of",
    "default_name",
    "homes",
    "kind_of_list",
    "presets",
    "sentences",
    "summary",
    "types_of",
    "word_field",
]

KINDS: dict[Any, Kind] = {
    Task: "task",
    Sampler: "sampler",
    Schedule: "schedule",
    Architecture: "architecture",
    Balance: "balance",
    Regulariser: "regulariser",
    Convergence: "convergence",
    Response: "response",
}
SECTIONS = ("sources", *(f.name for f in dataclasses.fields(Experiment)))


@cache
def types_of(cls: type) -> dict[str, Any]:
    """The type of every field of a dataclass, in order."""
    marker = {"KW_ONLY": object}  # Python 3.10 does not take the real one for a type
    hints = {**typing.get_type_hints(cls, localns=marker), **({"path": str} if cls is Source else {})}  # no rows here
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def required(cls: type) -> set[str]:
    """The fields that have no default."""
    missing = dataclasses.MISSING
    return {f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing}


def default_name(cls: type, field: str) -> str:
    """The registered name of the part that a field holds by default; empty if it has no such default."""
    (found,) = (f for f in dataclasses.fields(cls) if f.name == field)
    return part_name(found.default_factory()) if callable(found.default_factory) else ""


def word_field(cls: type) -> str:
    """The field that a word alone stands for: the name of an encoder, the path of a source, a run; else empty."""
    return {Encoder: "name", Source: "path", Start: "run", PretrainedTeacher: "run"}.get(cls, "")


def presets(kind: Kind) -> dict[str, Any]:
    """Parts with settings of their own that are known by a word."""
    return cast(dict[str, Any], PRESETS) if kind == "convergence" else {}


def kind_of_list(hint: Any) -> Kind | None:
    """The kind of the parts that a field of a type holds a list of; None for any other field."""
    inner = typing.get_args(hint)
    return KINDS.get(inner[0]) if typing.get_origin(hint) is tuple and inner[1:] == (...,) else None


def class_of_list(hint: Any) -> type | None:
    """The class of the plain parts that a field of a type holds a list of; None for any other field."""
    inner = typing.get_args(hint)
    of_list = typing.get_origin(hint) is tuple and inner[1:] == (...,)
    return inner[0] if of_list and dataclasses.is_dataclass(inner[0]) and isinstance(inner[0], type) else None


def kind_of_part(cls: type) -> Kind | None:
    """The kind that a class is registered under; None for a class that is the only one of its kind."""
    return next((kind for base, kind in KINDS.items() if issubclass(cls, base)), None)


def classes_of(kind: Kind) -> dict[str, type]:
    """Every registered class of a kind, by name."""
    return {name: find(kind, name) for name in names(kind)}


def homes(key: str) -> dict[str, list[str]]:
    """Every place in a recipe where a key may stand, with the types of the parts there that have it.

    Example:
        >>> homes("reduction"), homes("seed")["training"]
        ({'architecture': ['adapters', 'ca_mtl', 'hyperformer']}, [])
    """
    found: dict[str, list[str]] = {}
    for place, name, keys in _places():
        if key in keys:
            found.setdefault(place, []).extend([name] if name else [])
    return found


def _places() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    top = ("", "", SECTIONS)
    tasks = [("tasks.<name>", name, tuple(types_of(cls))[1:]) for name, cls in classes_of("task").items()]
    sections = [found for f, hint in types_of(Experiment).items() if f != "tasks" for found in _inside(f, hint)]
    return (top, *sections, *tasks, ("sources.<name>", "", tuple(types_of(Source))))


def _inside(place: str, hint: Any) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """A place in a recipe and the places inside it, with every type of part that may stand there and its keys."""
    kind = KINDS.get(hint) or kind_of_list(hint)
    for name, cls in classes_of(kind).items() if kind else [("", class_of_list(hint) or hint)]:
        yield place, name, tuple(types_of(cls))
        for field, inner in types_of(cls).items():
            if inner in KINDS:
                yield from _inside(f"{place}.{field}", inner)


@cache
def sentences(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say about each field, under `Args:`."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        block = re.search(r"^Args:\n((?:[ \n].*\n?)*)", text, re.MULTILINE)
        for entry in re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", block.group(1) if block else "", re.MULTILINE):
            found[entry[0]] = " ".join(entry[1].split())
    return found


def summary(cls: type) -> str:
    """The first line of the docstring of a class."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
