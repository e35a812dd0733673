"""Reading plain data: any value may be missing, null, not a number, or of another type than expected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Score", "ScoresByTask", "headline_score", "listing", "mapping", "number", "scores_by_task", "text", "whole"]


@dataclass(frozen=True)
class Score:
    """A score and its standard error."""

    value: float | None = None
    se: float | None = None


ScoresByTask = dict[str, dict[str, Score]]


def number(value: object) -> float | None:
    """The value as a finite number, if it is one.

    Example:
        >>> number(3), number(float("nan")), number("3")
        (3.0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def whole(value: object) -> int | None:
    """The value as a whole number, if it is a finite number."""
    found = number(value)
    return None if found is None else round(found)


def text(value: object) -> str:
    """The value as text; empty where there is none.

    Example:
        >>> text(3), text(None), text(float("nan"))
        ('3', '', '')
    """
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else str(value)


def mapping(value: object) -> Mapping[str, Any]:
    """The value, if it is a mapping; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listing(value: object) -> Sequence[Any]:
    """The value, if it is a list; else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


def scores_by_task(value: object) -> ScoresByTask:
    """The `scores` of an event: per task and metric, a score with its standard error."""
    return {
        str(task): {
            str(metric): Score(number(mapping(found).get("value")), number(mapping(found).get("se")))
            for metric, found in mapping(metrics).items()
        }
        for task, metrics in mapping(value).items()
    }


def headline_score(scores: Mapping[str, Score], metric: str, value: float | None) -> Score:
    """The score that is monitored, with its standard error where the event tells it."""
    if metric in scores:
        return scores[metric]
    return next((score for score in scores.values() if score.value == value), Score(value))
