"""Scores of any number of labels a row."""

from __future__ import annotations

import numpy as np

from motet.metrics.base import Score, clustered_error, mean_score, nothing
from motet.metrics.confusion import ratio

__all__ = ["multilabel"]


def multilabel(truth: np.ndarray, guess: np.ndarray) -> dict[str, Score]:
    """Scores of any number of labels a row.

    `macro_f1` averages over the classes that occur in `truth` or `guess`. A row without labels that is given none has
    a `jaccard` of 1. Every error is over rows: those of the F1 scores by summing each row's influence on the score, the
    others are of a mean.

    Args:
        truth: 1 where a class is true and 0 elsewhere, ``[rows, classes]``.
        guess: 1 where a class is guessed and 0 elsewhere, of the same shape.

    Relations:
        `classification` for exactly one label a row.

    Example:
        >>> scores = multilabel(np.array([[1, 1, 0], [0, 0, 1]]), np.array([[1, 0, 0], [0, 0, 1]]))
        >>> {name: score.value for name, score in scores.items()}
        {'micro_f1': 0.8, 'macro_f1': 0.666..., 'jaccard': 0.75, 'exact_match': 0.5, 'hamming_loss': 0.166...}
    """
    if not len(truth):
        return nothing("micro_f1", "macro_f1", "jaccard", "exact_match", "hamming_loss")
    true, found = truth.astype(np.bool_), guess.astype(np.bool_)
    both, either, wrong = true & found, true | found, true != found
    sizes = true.astype(np.int64) + found
    shares = np.where(either.any(axis=1), ratio(both.sum(axis=1), either.sum(axis=1)), 1.0)
    return {
        "micro_f1": _f1(both.sum(axis=1, keepdims=True), sizes.sum(axis=1, keepdims=True)),
        "macro_f1": _f1(both, sizes),
        "jaccard": mean_score(shares),
        "exact_match": mean_score(~wrong.any(axis=1)),
        "hamming_loss": mean_score(wrong.mean(axis=1)),
    }


def _f1(hits: np.ndarray, sizes: np.ndarray) -> Score:
    """F1 averaged over columns, from how often each row hit a column, and how often it was true or found in it."""
    size = sizes.sum(axis=0)
    each = ratio(2 * hits.sum(axis=0), size)
    columns = max(np.count_nonzero(size), 1)
    influence = (2 * hits - each * sizes) @ ratio(np.ones(len(size)), size) / columns
    return Score(float(each.sum() / columns), clustered_error(influence, np.arange(len(hits))))
