"""What the tests of scores share: scores by scikit-learn, and errors by resampling examples one by one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping

import numpy as np
from sklearn import metrics as sklearn

from motet.metrics import Score

__all__ = ["resampled_errors", "scored", "sklearn_scores", "values"]


def values(scores: Mapping[str, Score]) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def scored(scores: Mapping[str, Score]) -> bool:
    """Whether every score has a value, and an error that may be unknown but not negative."""
    return all(math.isfinite(score.value) and not score.se < 0 for score in scores.values())


def sklearn_scores(truth: np.ndarray, guess: np.ndarray, positive: int) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of a single class
        return {
            "accuracy": float(sklearn.accuracy_score(truth, guess)),
            "macro_f1": float(sklearn.f1_score(truth, guess, average="macro", zero_division=0)),
            "micro_f1": float(sklearn.f1_score(truth, guess, average="micro", zero_division=0)),
            "matthews": float(sklearn.matthews_corrcoef(truth, guess)),
            "f1_positive": float(sklearn.f1_score(truth == positive, guess == positive, zero_division=0)),
        }


def resampled_errors(
    score: Callable[[np.ndarray], Mapping[str, float]], rows: int, draw: np.random.Generator, draws: int = 300
) -> dict[str, float]:
    """How far each score scatters over samples of the rows; `score` takes the numbers of the rows drawn."""
    samples = [score(draw.integers(0, rows, rows)) for _ in range(draws)]
    return {name: float(np.std([sample[name] for sample in samples])) for name in samples[0]}
