"""What a score is, which scores there are, and the standard errors that several of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np

__all__ = [
    "METRICS",
    "Metric",
    "Score",
    "clustered_error",
    "mean_error",
    "mean_score",
    "nothing",
    "resample",
    "resampled",
    "unknown",
]

_DRAWS = 200  # gives the error itself within about 5 %
_Counted = TypeVar("_Counted")


@dataclass(frozen=True)
class Score:
    """A value and its standard error; the error is nan where it cannot be known.

    Example:
        >>> Score.from_plain(Score(0.5, float("nan")).plain())
        Score(value=0.5, se=nan)
    """

    value: float
    se: float

    def plain(self) -> dict[str, float | None]:
        """As JSON can hold it: a number that is not finite becomes None."""
        return {"value": _or_none(self.value), "se": _or_none(self.se)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, float | None]) -> Score:
        """What `plain` spelt."""
        value, se = (math.nan if number is None else float(number) for number in (plain["value"], plain["se"]))
        return cls(value, se)


@dataclass(frozen=True)
class Metric:
    """What a score means and which direction is good.

    Args:
        name: how it is called everywhere.
        higher_is_better: whether more is better.
        description: what it measures.
        ratio: it is told by factors rather than differences: from 2,000 to 200 is as far as from 200 to 20.
    """

    name: str
    higher_is_better: bool
    description: str
    ratio: bool = False


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("accuracy", True, "share of right answers"),
            Metric("macro_f1", True, "F1 of each class that is there or guessed, averaged"),
            Metric("micro_f1", True, "F1 over all decisions together; with one label a row, the accuracy"),
            Metric("matthews", True, "correlation of true and guessed classes, 0 for guessing blindly"),
            Metric("f1_positive", True, "F1 of the positive class"),
            Metric("spearman", True, "correlation of ranks"),
            Metric("pearson", True, "linear correlation"),
            Metric("rmse", False, "root of the mean squared error, in the units of the data"),
            Metric("mae", False, "mean absolute error, in the units of the data, or in steps where it is a scale"),
            Metric("quadratic_kappa", True, "agreement on a scale, by squared distance; 0 for guessing blindly"),
            Metric("exact_match", True, "share of rows whose answer is right as a whole"),
            Metric("hamming_loss", False, "share of wrong decisions, one for each row and class"),
            Metric("jaccard", True, "share of the labels true or guessed in a row that are both, averaged over rows"),
            Metric("span_f1", True, "F1 of whole entities: type, begin and end must be right"),
            Metric("token_accuracy", True, "share of words with the right tag"),
            Metric("token_macro_f1", True, "F1 of each tag over words, averaged"),
            Metric("map", True, "precision down to each relevant candidate, averaged, then averaged over queries"),
            Metric("mrr", True, "one over the rank of the first relevant candidate, averaged over queries"),
            Metric("ndcg", True, "relevance discounted by rank, over that of the best order, averaged over queries"),
            Metric("precision_at_1", True, "share of queries whose first candidate is relevant"),
            Metric("recall_at_5", True, "share of relevant candidates among the first five, averaged over queries"),
            Metric("token_f1", True, "F1 of the words of an answer against the nearest true one, averaged"),
            Metric("bleu", True, "precision of word sequences up to four over all rows, less where they are too short"),
            Metric("chrf", True, "F score of character sequences up to six over all rows, recall weighing twice"),
            Metric("rouge_l", True, "F1 of the longest common subsequence of words, averaged"),
            Metric("loss", False, "true-label loss of an answer, averaged"),
            Metric("perplexity", False, "e to the mean negative log-likelihood of a token", ratio=True),
        )
    }
)


def nothing(*names: str) -> dict[str, Score]:
    """The scores of no rows at all."""
    return dict.fromkeys(names, Score(0.0, math.nan))


def unknown(*names: str) -> dict[str, Score]:
    """The scores of predictions that are not finite."""
    return dict.fromkeys(names, Score(math.nan, math.nan))


def mean_score(values: np.ndarray) -> Score:
    """The mean of independent values, such as one a row."""
    return Score(float(values.mean()), mean_error(values))


def mean_error(values: np.ndarray) -> float:
    """The standard error of the mean of independent values."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def clustered_error(influence: np.ndarray, cluster: np.ndarray) -> float:
    """The standard error of a score from the influence of each example on it, where those of a cluster go together."""
    sums = np.bincount(cluster, influence)
    clusters = len(np.unique(cluster))
    return math.sqrt(clusters / (clusters - 1) * float(np.square(sums).sum())) if clusters > 1 else math.nan


def resample(counts: np.ndarray) -> np.ndarray:
    """Counts of samples drawn with replacement, ``[draws, kinds]``, from how often each kind of example was seen."""
    total = int(counts.sum())
    drawn: np.ndarray = np.random.default_rng(0).multinomial(total, counts / total, size=_DRAWS)
    return drawn


def resampled(statistic: Callable[[_Counted], np.ndarray], seen: _Counted, drawn: _Counted, examples: int) -> Score:
    """A statistic of what was counted, and how far it scatters over what was counted in every draw."""
    error = float(statistic(drawn).std(ddof=1)) if examples > 1 else math.nan
    return Score(float(statistic(seen)), error)


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None
