"""Which numbers an event holds, under the names `task/split/metric`; those of the whole run have the task `run`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from motet.runs import Event

__all__ = ["RUN", "points", "settings"]

RUN = "run"
PLANNED = ("encoder", "steps", "seed", "precision", "device")
Pairs = Iterator[tuple[str, Any]]


def points(event: Event) -> dict[str, float]:
    """The numbers of one event by name; empty for an event without any.

    Example:
        >>> scores = {"topic": {"accuracy": {"value": 0.9, "se": 0.01}}}
        >>> points({"event": "evaluation", "split": "test", "scores": scores})
        {'topic/test/accuracy': 0.9, 'topic/test/accuracy_se': 0.01}
    """
    tell = _TOLD.get(event["event"])
    return {name: float(value) for name, value in tell(event) if _is_number(value)} if tell else {}


def settings(plan: Event) -> dict[str, Any]:
    """The settings of a run as one level of plain values, with dots between the names of levels.

    Example:
        >>> settings({"event": "plan", "settings": {"balance": {"type": "sum"}}, "tasks": [{"name": "a", "train": 9}]})
        {'balance.type': 'sum', 'tasks.a.train': 9}
    """
    found: dict[str, Any] = {key: plan[key] for key in PLANNED if key in plan}
    found.update(plan.get("settings", {}))
    for task in plan.get("tasks", ()):
        found[f"tasks.{task['name']}"] = {key: task[key] for key in task if key != "name"}
    return dict(_flat(found))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _flat(value: Mapping[str, Any], above: str = "") -> Pairs:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{key}.")
        elif inner is not None:
            yield f"{above}{key}", inner if isinstance(inner, (str, int, float)) else str(inner)


def _step(event: Event) -> Pairs:
    for task, loss in event.get("losses", {}).items():
        yield f"{task}/train/loss", loss
    for task, weight in (event.get("weights") or {}).items():
        yield f"{task}/train/weight", weight
    for name, penalty in (event.get("penalties") or {}).items():
        yield f"{RUN}/train/penalty_{name}", penalty
    for name in ("learning_rate", "gradient_norm"):
        yield f"{RUN}/train/{name}", event.get(name)
    if event.get("seconds"):
        yield f"{RUN}/train/tokens_per_second", event.get("tokens", 0) / event["seconds"]
    yield from _cosines(event.get("conflict") or {})


def _cosines(conflict: Mapping[str, Any]) -> Pairs:
    """Each pair once."""
    names = conflict.get("names", ())
    for at, row in enumerate(conflict.get("cosines", ())):
        for other, cosine in zip(names[:at], row, strict=False):
            yield f"{other}/train/cosine_with_{names[at]}", cosine


def _check(event: Event) -> Pairs:
    yield from _scores(event.get("scores", {}), "validation")
    for task, mean in event.get("smoothed", {}).items():
        yield f"{task}/validation/running_mean", mean
    for task, best in event.get("best", {}).items():
        yield f"{task}/validation/peak", (best or {}).get("value")
    for task, state in event.get("states", {}).items():
        yield f"{task}/train/converged", float(state in ("converged", "dropped"))
    for task, epochs in event.get("own_epochs", {}).items():
        yield f"{task}/train/own_epochs", epochs
    for task, share in event.get("shares", {}).items():
        yield f"{task}/train/share", share
    yield f"{RUN}/validation/mean_normalised", event.get("mean_normalised")


def _evaluation(event: Event) -> Pairs:
    return _scores(event.get("scores", {}), event.get("split", "test"))


def _scores(scores: Mapping[str, Mapping[str, Mapping[str, Any]]], split: str) -> Pairs:
    for task, metrics in scores.items():
        for metric, found in metrics.items():
            yield f"{task}/{split}/{metric}", found.get("value")
            yield f"{task}/{split}/{metric}_se", found.get("se")


_TOLD: dict[str, Callable[[Event], Pairs]] = {"step": _step, "check": _check, "evaluation": _evaluation}
