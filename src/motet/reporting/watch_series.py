"""What the steps of a run say over time beside losses: weights, shares, speed, and the angles between gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from motet.reporting.plain import listing, mapping, number, whole
from motet.reporting.traces import Node
from motet.runs import Event

__all__ = ["Angles", "Dynamics", "dynamics"]

# A drawing two inches wide shows no more places than this.
PLACES = 100

Lines = dict[str, list[Node]]


@dataclass(frozen=True)
class Angles:
    """The angles between the gradients of tasks at a step, in degrees; None where a gradient is zero."""

    step: int
    names: tuple[str, ...]
    degrees: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Dynamics:
    """Lines over physical steps, by task, and the last angles.

    Args:
        weights: what the balance multiplied the losses by.
        shares: of the rows of the steps around.
        speed: real tokens a second, of training alone.
        angles: None where they are not recorded.
    """

    weights: Lines = field(default_factory=dict)
    shares: Lines = field(default_factory=dict)
    speed: list[Node] = field(default_factory=list)
    angles: Angles | None = None


def dynamics(events: Iterable[Event]) -> Dynamics:
    """Read them from the surviving events of a run, oldest first.

    Example:
        >>> step = {"event": "step", "step": 10, "rows": {"a": 30, "b": 10}, "tokens": 600, "seconds": 2.0}
        >>> found = dynamics([step])
        >>> found.shares["a"][0].value, found.speed[0].value
        (0.75, 300.0)
    """
    steps = [event for event in events if event.get("event") == "step"]
    width = max(1, -(-len(steps) // PLACES))
    buckets = [steps[start : start + width] for start in range(0, len(steps), width)]
    return Dynamics(
        weights=_lines(buckets, _weights),
        shares=_lines(buckets, _shares),
        speed=_lines(buckets, _speed).get("speed", []),
        angles=next(filter(None, map(_angles, reversed(steps))), None),
    )


def _lines(buckets: Sequence[Sequence[Event]], told: Callable[[Sequence[Event]], dict[str, float]]) -> Lines:
    lines: Lines = {}
    for bucket in buckets:
        for name, value in told(bucket).items():
            lines.setdefault(name, []).append(Node(whole(bucket[-1].get("step")) or 0, value))
    return lines


def _by_name(bucket: Sequence[Event], key: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for event in bucket:
        for name, value in mapping(event.get(key)).items():
            if (known := number(value)) is not None:
                found.setdefault(str(name), []).append(known)
    return found


def _weights(bucket: Sequence[Event]) -> dict[str, float]:
    return {name: sum(values) / len(values) for name, values in _by_name(bucket, "weights").items()}


def _shares(bucket: Sequence[Event]) -> dict[str, float]:
    rows = {name: sum(values) for name, values in _by_name(bucket, "rows").items()}
    total = sum(rows.values())
    return {name: of / total for name, of in rows.items()} if total > 0 else {}


def _speed(bucket: Sequence[Event]) -> dict[str, float]:
    tokens, seconds = (sum(number(event.get(key)) or 0.0 for event in bucket) for key in ("tokens", "seconds"))
    return {"speed": tokens / seconds} if seconds > 0 else {}


def _angles(event: Event) -> Angles | None:
    found = mapping(event.get("conflict"))
    names = tuple(map(str, listing(found.get("names"))))
    rows = [listing(row) for row in listing(found.get("cosines"))]
    if not names or [len(row) for row in rows] != [len(names)] * len(names):
        return None
    return Angles(whole(event.get("step")) or 0, names, tuple(tuple(map(_degrees, row)) for row in rows))


def _degrees(cosine: Any) -> float | None:
    known = number(cosine)
    return None if known is None else math.degrees(math.acos(max(-1.0, min(1.0, known))))
