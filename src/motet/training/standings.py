"""Where every task stands: its peak, whether it learns or is held, and what all of them come to together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from motet.training.convergence import Tracker

__all__ = ["BestMean", "Standing", "mean_normalised"]

Status = Literal["learning", "converged", "capped"]


@dataclass
class Standing:
    """One task in the course of a run.

    Args:
        tracker: its scores and its patience.
        status: `capped` when the budget ran out while it was learning; that is not convergence.
        peak: the running mean at the peak it is held at; None while it learns.
        labels: soft-label file, relative to the run folder; empty without.
        teacher: snapshot whose predictions it is held by; empty without.
        reopened: how many times it went back to learning.
        fallen: whether its fall below the peak was reported already.
    """

    tracker: Tracker
    status: Status = "learning"
    peak: float | None = None
    labels: str = ""
    teacher: str = ""
    reopened: int = 0
    fallen: bool = False

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        plain = {name: value for name, value in vars(self).items() if name != "tracker"}
        return {**plain, "tracker": self.tracker.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data."""
        for name, value in state.items():
            if name != "tracker":
                setattr(self, name, value)
        self.tracker.restore(state["tracker"])


def mean_normalised(scores: Mapping[str, float], bests: Mapping[str, float]) -> float:
    """The mean over tasks of score over best score; differences count where a best score is not positive.

    Example:
        >>> mean_normalised({"a": 0.4, "b": 0.9}, {"a": 0.8, "b": 0.9})
        0.75
    """
    parts = [1 + (scores[task] - best) / (abs(best) or 1.0) for task, best in bests.items()]
    return sum(parts) / len(parts)


@dataclass
class BestMean:
    """The snapshot with the best mean of scores relative to each task's best.

    The bests grow while a run goes on; whenever two snapshots are compared, both are seen relative to the bests known
    by then.

    Args:
        snapshot: its name; empty before the first check.
        scores: its scores, higher is better.
    """

    snapshot: str = ""
    scores: dict[str, float] | None = None

    def offer(self, snapshot: str, scores: Mapping[str, float], bests: Mapping[str, float]) -> None:
        """Take a snapshot if it is better."""
        if self.scores is None or mean_normalised(scores, bests) > mean_normalised(self.scores, bests):
            self.snapshot, self.scores = snapshot, dict(scores)
