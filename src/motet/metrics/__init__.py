"""Scores, each with its standard error, one function an answer shape.

    >>> import numpy as np
    >>> scores = classification(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), classes=2, positive=1)
    >>> scores["accuracy"]
    Score(value=0.75, se=0.21650635094610965)
    >>> METRICS["rmse"].higher_is_better
    False

A standard error says how much a score would move with another test set of the same size. Where no formula is at hand
it comes from resampling counts, not examples: equal examples are drawn together, so the cost does not grow with the
test set. Resampling is seeded: equal input gives equal output.

No rows at all give 0, and a single one (a single sentence of tags, a single query) any score, with an unknown error;
predictions that are not finite give nan.
"""

from motet.metrics.base import METRICS, Metric, Score
from motet.metrics.classification import classification
from motet.metrics.multilabel import multilabel
from motet.metrics.ordinal import ordinal
from motet.metrics.ranking import ranking
from motet.metrics.regression import regression
from motet.metrics.tagging import tagging
from motet.metrics.text import generation, perplexity, spans

__all__ = [
    "METRICS",
    "Metric",
    "Score",
    "classification",
    "generation",
    "multilabel",
    "ordinal",
    "perplexity",
    "ranking",
    "regression",
    "spans",
    "tagging",
]
