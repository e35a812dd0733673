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
        teachers: snapshots that its teacher is made of, that of the peak first; empty without.
        reopened: how many times it went back to learning.
        fallen: whether its fall below the peak was reported already.
        since: logical step of its switch.
    """

    tracker: Tracker
    status: Status = "learning"
    peak: float | None = None
    labels: str = ""
    teachers: tuple[str, ...] = ()
    reopened: int = 0
    fallen: bool = False
    since: int = 0

    def state(self) -> dict[str, Any]:
        """Plain data to go on from."""
        plain = {name: value for name, value in vars(self).items() if name != "tracker"}
        return {**plain, "tracker": self.tracker.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved data."""
        for name, value in state.items():
            if name != "tracker":
                setattr(self, name, tuple(value) if name == "teachers" else value)
        self.tracker.restore(state["tracker"])


def mean_normalised(scores: Mapping[str, float], bests: Mapping[str, float]) -> float:
    """The mean over tasks of what a score is worth beside the best of its task, 0 to 1.

    Where more is better that is score over best, and where less is better best over score: an early perplexity of a
    billion is worth nothing, but it cannot outweigh the other tasks.

    Args:
        scores: of all tasks, higher is better: those that should be low are below 0.
        bests: the highest so far.

    Example:
        >>> mean_normalised({"a": 0.4, "b": -20.0}, {"a": 0.8, "b": -5.0})
        0.375
    """
    parts = [_worth(scores[task], best) for task, best in bests.items()]
    return sum(parts) / len(parts)


def _worth(score: float, best: float) -> float:
    if score >= best:
        return 1.0
    if best > 0:
        return max(0.0, score / best)
    return best / score if best < 0 else 1 / (1 - score)


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
        before = self.scores
        if before is not None:  # its steps may have been thrown away, and their scores are then among no bests
            bests = {task: max(best, before[task]) for task, best in bests.items()}
        if before is None or mean_normalised(scores, bests) > mean_normalised(before, bests):
            self.snapshot, self.scores = snapshot, dict(scores)
