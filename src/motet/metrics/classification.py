"""Scores of one label a row."""

from __future__ import annotations

import math

import numpy as np

from motet.metrics.base import Score, nothing, resample, resampled
from motet.metrics.confusion import Margins, class_f1, confusion, macro_f1, margins, ratio

__all__ = ["classification"]


def classification(truth: np.ndarray, guess: np.ndarray, classes: int, positive: int) -> dict[str, Score]:
    """Scores of one label a row.

    `macro_f1` averages over the classes that occur in `truth` or `guess`. The error of `accuracy` is binomial, the
    others come from resampling the confusion matrix.

    Args:
        truth: true classes, counted from 0.
        guess: guessed classes, one for each true one.
        classes: how many classes there are.
        positive: the class that `f1_positive` is about.

    Relations:
        `multilabel` for any number of labels a row; `ordinal` for labels that are steps of a scale; `tagging` for a
        label a word; `regression` for a number.

    Example:
        >>> scores = classification(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), classes=2, positive=1)
        >>> scores["accuracy"].value, scores["f1_positive"].value
        (0.75, 0.8)
    """
    if not len(truth):
        return nothing("accuracy", "macro_f1", "micro_f1", "matthews", "f1_positive")
    cells = confusion(truth, guess, classes)
    seen, drawn = margins(cells, classes), margins(cells._replace(counts=resample(cells.counts)), classes)
    right = float(seen.hits.sum() / len(truth))
    accuracy = Score(right, math.sqrt(right * (1.0 - right) / len(truth)) if len(truth) > 1 else math.nan)
    return {
        "accuracy": accuracy,
        "macro_f1": resampled(macro_f1, seen, drawn, len(truth)),
        "micro_f1": accuracy,
        "matthews": resampled(_matthews, seen, drawn, len(truth)),
        "f1_positive": resampled(lambda counted: class_f1(counted)[..., positive], seen, drawn, len(truth)),
    }


def _matthews(counted: Margins) -> np.ndarray:
    total = counted.true.sum(axis=-1)
    agreement = counted.hits.sum(axis=-1) * total - (counted.true * counted.found).sum(axis=-1)
    true_spread, found_spread = (total**2 - np.square(side).sum(axis=-1) for side in (counted.true, counted.found))
    return ratio(agreement, np.sqrt(true_spread.astype(np.float64)) * np.sqrt(found_spread.astype(np.float64)))
