"""The card in the model folder of a run, written at its end and again when the model is scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from motet.registry import describe, part_name
from motet.reporting.card import run_card
from motet.runs import Event, RunFolder, write_atomically
from motet.training.experiment import OTHER_RUNS, Experiment

__all__ = ["unlike_defaults", "write_card"]


def write_card(run: RunFolder, experiment: Experiment, *, before: list[Event] | None = None) -> None:
    """Write the card of the model of a run.

    Args:
        run: the run folder.
        experiment: of the run.
        before: the events that the card there is was made of; one that says anything else was edited, and stays.
    """
    manifest, changed = run.read_json(run.manifest_file), dict(unlike_defaults(experiment))
    name = run.path.resolve().name
    card = run.model / "README.md"
    made = "" if before is None else run_card(before, manifest, changed, name)
    if made and card.exists() and card.read_text(encoding="utf-8") != made:
        return
    text = run_card(run.events(), manifest, changed, name)
    write_atomically(card, lambda path: path.write_text(text, encoding="utf-8"))


def unlike_defaults(part: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a part that are not as they are by default, by their dotted names.

    Example:
        >>> from motet.training.experiment import Training
        >>> dict(unlike_defaults(Training(steps=7)))
        {'steps': 7}
    """
    for setting in dataclasses.fields(part):
        if setting.name in ("tasks", *OTHER_RUNS) and not place:
            continue
        value, default = getattr(part, setting.name), _default(setting)
        name = f"{place}.{setting.name}" if place else setting.name
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            if type(value) is not type(default):
                yield name, part_name(value)
            yield from unlike_defaults(value, name)
        elif value != default:
            yield name, describe(value)


def _default(setting: dataclasses.Field[Any]) -> Any:
    if setting.default_factory is not dataclasses.MISSING:
        return setting.default_factory()
    return setting.default
