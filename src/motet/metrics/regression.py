"""Scores of one number a row."""

from __future__ import annotations

import math

import numpy as np

from motet.metrics.base import Score, mean_error, mean_score, nothing, unknown

__all__ = ["regression"]


def regression(truth: np.ndarray, guess: np.ndarray) -> dict[str, Score]:
    """Scores of one number a row.

    A correlation with a constant is 0. The errors of the correlations are asymptotic, for data that is about normal:
    ``(1 - r**2) / sqrt(n - 3)``, for ranks times ``sqrt(1 + r**2 / 2)`` (Bonett and Wright 2000, "Sample size
    requirements for estimating Pearson, Kendall and Spearman correlations"). That of `rmse` is by the delta method.

    Args:
        truth: true numbers.
        guess: guessed numbers, one for each true one.

    Relations:
        `ordinal` for numbers that are steps of a scale.

    Example:
        >>> scores = regression(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 8.0]))
        >>> scores["spearman"].value, scores["mae"].value
        (1.0, 1.25)
    """
    if not len(truth):
        return nothing("spearman", "pearson", "rmse", "mae")
    if not np.isfinite(guess).all():
        return unknown("spearman", "pearson", "rmse", "mae")
    rank, line = _correlation(_ranks(truth), _ranks(guess)), _correlation(truth, guess)
    spread = 1.0 / math.sqrt(len(truth) - 3) if len(truth) > 3 else math.nan
    errors = np.abs(guess - truth)
    rmse = math.sqrt(float(np.square(errors).mean()))
    slope = 0.5 / rmse if rmse else 0.0
    return {
        "spearman": Score(rank, (1.0 - rank**2) * math.sqrt(1.0 + rank**2 / 2.0) * spread),
        "pearson": Score(line, (1.0 - line**2) * spread),
        "rmse": Score(rmse, slope * mean_error(np.square(errors))),
        "mae": mean_score(errors),
    }


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    if np.ptp(left) == 0.0 or np.ptp(right) == 0.0:
        return 0.0
    directions = []
    for side in (left, right):
        centred = side - side.mean()
        centred /= np.abs(centred).max()  # so that no square overflows or vanishes
        directions.append(centred / np.linalg.norm(centred))
    return float(np.clip(directions[0] @ directions[1], -1.0, 1.0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[place])
