"""The best of the runs of a search, by validation alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from motet.runs import RunFolder

__all__ = ["Validated", "best_of", "validated"]


class Validated(NamedTuple):
    """The score of every task on validation, and which way is better."""

    scores: dict[str, float]
    higher_is_better: dict[str, bool]


def validated(run: RunFolder) -> Validated | None:
    """What the model of a finished run scores on validation; None where that is not finite or not there."""
    events = run.events()
    plan = next((event for event in events if event["event"] == "plan"), None)
    candidates = next((event for event in reversed(events) if event["event"] == "candidates"), None)
    if plan is None or candidates is None:
        return None
    found = candidates[candidates["chosen"]]["scores"]
    scores = {task["name"]: found[task["name"]][task["metric"]]["value"] for task in plan["tasks"]}
    if any(score is None for score in scores.values()):
        return None
    return Validated(scores, {task["name"]: task["higher_is_better"] for task in plan["tasks"]})


def best_of(trials: Sequence[Validated | None]) -> int | None:
    """Which trial is best: by its distances from the best score of every task, relative to it, averaged over tasks.

    Example:
        >>> higher = {"a": True, "b": True}
        >>> best_of([Validated({"a": 0.8, "b": 0.4}, higher), None, Validated({"a": 0.79, "b": 0.5}, higher)])
        2
    """
    known = [trial for trial in trials if trial is not None]
    if not known:
        return None
    best = {task: _best([trial.scores[task] for trial in known], up) for task, up in known[0].higher_is_better.items()}
    distances = [float("inf") if trial is None else _distance(trial.scores, best) for trial in trials]
    return distances.index(min(distances))


def _best(scores: Sequence[float], higher_is_better: bool) -> float:
    return max(scores) if higher_is_better else min(scores)


def _distance(scores: Mapping[str, float], best: Mapping[str, float]) -> float:
    return sum(abs(scores[task] - top) / (abs(top) or 1.0) for task, top in best.items()) / len(best)
