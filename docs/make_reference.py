"""Write docs/reference/recipe.md from the parts themselves.

    python docs/make_reference.py

A test holds the committed page against what this writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from motet.data.sources import Source
from motet.encoders import Encoder
from motet.recipe.parts import (
    KINDS,
    classes_of,
    default_name,
    kind_of_list,
    presets,
    required,
    sentences,
    summary,
    types_of,
    word_field,
)
from motet.recipe.values import expectation
from motet.registry import Kind
from motet.spelling import to_yaml
from motet.training.beginning import Start
from motet.training.experiment import Experiment, Training
from motet.training.pretrained_teachers import PretrainedTeacher

PAGE = Path(__file__).parent / "reference" / "recipe.md"

_INTRODUCTION = """# Recipe reference

Written by `docs/make_reference.py` from the classes themselves; do not edit it by hand.

A recipe is a YAML, JSON or TOML file. Only `tasks` must be there. Where a part is asked for, write its name alone
(`sampler: uniform`) or a mapping with `type` and other keys (`sampler: {type: temperature, temperature: 3}`); `type`
may be left out for the default part. Python uses the same names: the keys are the arguments of the classes."""

_TASKS = """A mapping from names of tasks to tasks. Every task has a `type` and a `source`: a name in `sources`, a path,
or a source spelt out. With `per: COLUMN` it becomes one task for every value of that column."""


def page() -> str:
    """The whole page."""
    return "\n\n".join([_INTRODUCTION, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    yield _alone("encoder", Encoder)
    yield "\n\n".join(["## `sources`", "A mapping from names of your choice to sources.", _body(Source)])
    yield "\n\n".join(["## `tasks`", _TASKS, *_classes("task", "")])
    for name, hint in types_of(Experiment).items():
        if hint in KINDS and name != "tasks":
            yield _parts(f"## `{name}`", KINDS[hint], default_name(Experiment, name))
        kind = kind_of_list(hint)
        if kind is not None and name != "tasks":
            yield "\n\n".join([f"## `{name}`", "A list of parts. Default: none.", *_classes(kind, "")])
    yield _parts("## `convergence.then`", "response", "distill")
    yield _alone("training", Training)
    yield _alone("start_from", Start)
    yield "\n\n".join(["## `teachers`", "A list of finished runs. Default: none.", _body(PretrainedTeacher)])


def _alone(name: str, cls: type) -> str:
    return f"## `{name}`\n\n{_body(cls)}"


def _parts(heading: str, kind: Kind, default: str) -> str:
    words = [f"The word `{word}` stands for {_changes(part)}." for word, part in presets(kind).items()]
    return "\n\n".join([heading, f"Default: `{default}`.", *words, *_classes(kind, default)])


def _changes(part: Any) -> str:
    """What a preset sets, as a recipe would."""
    usual = type(part)()
    named = [f.name for f in dataclasses.fields(part) if getattr(part, f.name) != getattr(usual, f.name)]
    return ", ".join(f"`{name}: {getattr(part, name)}`" for name in named)


def _classes(kind: Kind, default: str) -> Iterator[str]:
    for name, cls in classes_of(kind).items():
        yield f"### `{name}`" + (" (default)" if name == default else "") + f"\n\n{_body(cls)}"


def _body(cls: type) -> str:
    word = f" A word alone is its `{word_field(cls)}`." if word_field(cls) else ""
    return "\n\n".join([summary(cls) + word, table(cls)])


def table(cls: type, page: str = "") -> str:
    """The keys of a part, with their values, defaults and meanings.

    Args:
        cls: of the part.
        page: the address of this reference, seen from where the table is to stand.
    """
    rows = [_row(cls, name, page) for name in types_of(cls) if (cls, name) not in _left_out(cls)]
    head = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) if rows else "It has no keys."


def _left_out(cls: type) -> set[tuple[type, str]]:
    """A task gets its name from the mapping that it stands in."""
    return {(cls, "name")} if "source" in types_of(cls) else set()


def _row(cls: type, name: str, page: str) -> str:
    hint = types_of(cls)[name]
    special = {"source": "a name, a path or a source", "then": f"a [part]({page}#convergencethen)"}
    cells = [f"`{name}`", special.get(name) or expectation(hint), _default(cls, name), sentences(cls).get(name, "")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(cls: type, name: str) -> str:
    if name in required(cls):
        return "required"
    if types_of(cls)[name] in KINDS:
        return f"`{default_name(cls, name)}`"
    (found,) = (f for f in dataclasses.fields(cls) if f.name == name)
    plain = found.default_factory() if callable(found.default_factory) else found.default
    value: Any = list(plain) if isinstance(plain, tuple) else plain
    return f"`{to_yaml({name: value}).strip().removeprefix(name + ': ')}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
