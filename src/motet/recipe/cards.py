"""The tasks that the card of a data set names, as a recipe spells them.

A card is a file ``dataset.json`` in a folder of examples. It names `tasks`, each with `name`, `type`, `inputs` and
`target`, and perhaps with `metric`, `positive`, `group` (the column that ties candidates to a query) and `task_per` (a
column for each value of which there is a task).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from motet.errors import DataError
from motet.recipe.parts import types_of
from motet.registry import find
from motet.tasks.base import Task

__all__ = ["Found", "tasks_of_card"]

_METRICS = {"mcc": "matthews", "p_at_1": "precision_at_1"}
_OTHER_KEYS = {"positive": "positive", "group": "query_id"}  # of a card, and of a recipe


@dataclass(frozen=True)
class Found:
    """A task in the making.

    Args:
        name: of the task.
        source: the name of its source.
        keys: what the recipe says about it.
    """

    name: str
    source: str
    keys: dict[str, Any]

    @property
    def writes(self) -> bool:
        """Whether it takes an encoder that writes."""
        return bool(self.keys["type"] == "generation")


@dataclass(frozen=True)
class _Shape:
    """How a recipe spells a type of task.

    Args:
        kind: what it calls the type.
        inputs: the keys of the columns that are read.
        target: the key of the column of the answers; empty where the text is its own answer.
        pairs: whether the one key of the inputs may hold two columns.
        fixed: whether columns must be called like their keys: other names stand for cells of another form.
    """

    kind: str
    inputs: tuple[str, ...]
    target: str
    pairs: bool = False
    fixed: bool = False

    def columns(self, inputs: Sequence[str], target: str) -> dict[str, Any]:
        """The keys with the columns of a card; empty if these do not fit."""
        if self.fixed and (*inputs, target) != (*self.inputs, self.target):
            return {}
        read: dict[str, Any] = dict(zip(self.inputs, inputs, strict=False))
        if self.pairs and len(inputs) == 2:
            read = {self.inputs[0]: list(inputs)}
        elif len(inputs) != len(self.inputs):
            return {}
        return {**read, self.target: target} if self.target else read


_CLASSIFICATION = _Shape("classification", ("text",), "label", pairs=True)
_REGRESSION = _Shape("regression", ("text",), "value", pairs=True)
_SHAPES = {
    "classification": _CLASSIFICATION,
    "pair_classification": _CLASSIFICATION,
    "multilabel_classification": _Shape("multilabel", ("text",), "labels", pairs=True),
    "regression": _REGRESSION,
    "pair_regression": _REGRESSION,
    "sequence_tagging": _Shape("tagging", ("tokens",), "labels"),
    "span_extraction": _Shape("spans", ("question", "context"), "answers", fixed=True),
    "ranking": _Shape("ranking", ("query", "candidate"), "relevance"),
    "generation": _Shape("generation", ("text",), "target", pairs=True),
    "language_modeling": _Shape("masked_language", ("text",), ""),
}


def tasks_of_card(source: str, card: Path, notes: list[str]) -> Iterator[Found]:
    """The tasks of a card that motet knows.

    Args:
        source: the name of the source.
        card: the file.
        notes: what is left out or changed is added here, in sentences.

    Raises:
        DataError: it is no card.
    """
    for spelled in _read(card):
        name, of_type = str(spelled.get("name", source)), str(spelled.get("type"))
        inputs, target, shape = spelled.get("inputs", []), spelled.get("target"), _SHAPES.get(of_type)
        columns = shape.columns(inputs, target) if shape and target else {}
        if shape and columns:
            more, note = _more(spelled, shape)
            notes += [f"{source}: `{name}` {note}."] if note else []
            yield Found(name, source, {"type": shape.kind, "source": source, **columns, **more})
        else:
            reason = "motet has no such task yet"
            if shape and shape.fixed:
                reason = f"its columns are not {', '.join(shape.inputs)} and {shape.target}"
            notes.append(f"{source}: `{name}` ({of_type}) is left out; {reason}.")


def _read(card: Path) -> list[Mapping[str, Any]]:
    try:
        return list(json.loads(card.read_text(encoding="utf-8"))["tasks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{card} is no card with `tasks` ({type(error).__name__}: {error}).") from error


def _more(spelled: Mapping[str, Any], shape: _Shape) -> tuple[dict[str, Any], str]:
    """The keys beside the columns, and what has to be said about the task, as the end of a sentence."""
    task = cast("type[Task]", find("task", shape.kind))
    keys = {key: spelled[word] for word, key in _OTHER_KEYS.items() if word in spelled and key in types_of(task)}
    keys |= {"per": spelled["task_per"]} if "task_per" in spelled else {}
    metric = _METRICS.get(spelled.get("metric", ""), spelled.get("metric", ""))
    if metric in task.metrics:
        keys = {"metric": metric, **keys}
    elif metric:
        return keys, f"is scored by {metric} elsewhere, which `{shape.kind}` does not have"
    hides = shape.kind == "masked_language"
    return keys, "becomes `masked_language`; with a decoder, take `causal_language`" if hides else ""
