"""Scores of one step of a scale a row."""

from __future__ import annotations

import numpy as np

from motet.metrics.base import Score, nothing, resample, resampled
from motet.metrics.classification import classification
from motet.metrics.confusion import Confusion, confusion, ratio
from motet.metrics.regression import regression

__all__ = ["ordinal"]


def ordinal(truth: np.ndarray, guess: np.ndarray, classes: int) -> dict[str, Score]:
    """Scores of one step of a scale a row.

    `quadratic_kappa` is Cohen's kappa with the squared distance for a weight, and 0 where all answers are the same. Its
    error comes from resampling the confusion matrix. `mae` is in steps.

    Args:
        truth: true steps, counted from 0.
        guess: guessed steps, one for each true one.
        classes: how many steps the scale has.

    Relations:
        `accuracy` and `macro_f1` are those of `classification`, `mae` and `spearman` those of `regression`.

    Example:
        >>> scores = ordinal(np.array([0, 1, 2, 3]), np.array([0, 1, 3, 3]), classes=4)
        >>> scores["quadratic_kappa"].value, scores["mae"].value
        (0.916..., 0.25)
    """
    if not len(truth):
        return nothing("quadratic_kappa", "mae", "accuracy", "macro_f1", "spearman")
    cells = confusion(truth, guess, classes)
    drawn = cells._replace(counts=resample(cells.counts))
    labels = classification(truth, guess, classes, positive=0)
    numbers = regression(truth.astype(np.float64), guess.astype(np.float64))
    return {
        "quadratic_kappa": resampled(_quadratic_kappa, cells, drawn, len(truth)),
        "mae": numbers["mae"],
        "accuracy": labels["accuracy"],
        "macro_f1": labels["macro_f1"],
        "spearman": numbers["spearman"],
    }


def _quadratic_kappa(cells: Confusion) -> np.ndarray:
    """How far the squared distances stay below those of guesses that know nothing of the truth."""
    true, found, counts = cells.true.astype(np.float64), cells.found.astype(np.float64), cells.counts
    total = counts.sum(axis=-1)  # both distances times its square, so that the numbers stay whole
    observed = total * (counts @ np.square(true - found))
    expected = total * (counts @ (np.square(true) + np.square(found))) - 2.0 * (counts @ true) * (counts @ found)
    return ratio(expected - observed, expected)
