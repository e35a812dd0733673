"""Scores, each with its standard error, one function an answer shape.

    >>> scores = classification(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), classes=2, positive=1)
    >>> scores["accuracy"]
    Score(value=0.75, se=0.21650635094610965)
    >>> METRICS["rmse"].higher_is_better
    False

A standard error says how much a score would move with another test set of the same size. Where no formula is at hand
it comes from resampling counts, not examples: equal examples are drawn together, so the cost does not grow with the
test set. Resampling is seeded: equal input gives equal output.

No rows at all give 0, and a single one (a single sentence of tags) any score, with an unknown error; predictions
that are not finite give nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

__all__ = ["METRICS", "Metric", "Score", "classification", "regression", "tagging"]

_DRAWS = 200  # gives the error itself within about 5 %


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
        """As JSON can hold it: nan becomes None."""
        return {"value": _or_none(self.value), "se": _or_none(self.se)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, float | None]) -> Score:
        """What `plain` spelt."""
        value, se = (math.nan if number is None else float(number) for number in (plain["value"], plain["se"]))
        return cls(value, se)


@dataclass(frozen=True)
class Metric:
    """What a score means and which direction is good."""

    name: str
    higher_is_better: bool
    description: str


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
            Metric("mae", False, "mean absolute error, in the units of the data"),
            Metric("span_f1", True, "F1 of whole entities: type, begin and end must be right"),
            Metric("token_accuracy", True, "share of words with the right tag"),
            Metric("token_macro_f1", True, "F1 of each tag over words, averaged"),
        )
    }
)


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
        `tagging` for a label a word; `regression` for a number.
    """
    if not len(truth):
        return _nothing("accuracy", "macro_f1", "micro_f1", "matthews", "f1_positive")
    cells, counts = np.unique(truth * classes + guess, return_counts=True)

    def margins(cell_counts: np.ndarray) -> _Margins:
        return _margins(cells // classes, cells % classes, cell_counts, classes)

    seen, drawn = margins(counts), margins(_resample(counts))
    right = float(seen.hits.sum() / len(truth))
    accuracy = Score(right, math.sqrt(right * (1.0 - right) / len(truth)) if len(truth) > 1 else math.nan)
    return {
        "accuracy": accuracy,
        "macro_f1": _resampled(_macro_f1, seen, drawn, len(truth)),
        "micro_f1": accuracy,
        "matthews": _resampled(_matthews, seen, drawn, len(truth)),
        "f1_positive": _resampled(lambda counted: _f1(counted)[..., positive], seen, drawn, len(truth)),
    }


def regression(truth: np.ndarray, guess: np.ndarray) -> dict[str, Score]:
    """Scores of one number a row.

    A correlation with a constant is 0. The errors of the correlations are asymptotic, for data that is about normal:
    ``(1 - r**2) / sqrt(n - 3)``, for ranks times ``sqrt(1 + r**2 / 2)`` (Bonett and Wright 2000, "Sample size
    requirements for estimating Pearson, Kendall and Spearman correlations"). That of `rmse` is by the delta method.

    Args:
        truth: true numbers.
        guess: guessed numbers, one for each true one.

    Example:
        >>> scores = regression(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 8.0]))
        >>> scores["spearman"].value, scores["mae"].value
        (1.0, 1.25)
    """
    if not len(truth):
        return _nothing("spearman", "pearson", "rmse", "mae")
    if not np.isfinite(guess).all():
        return dict.fromkeys(("spearman", "pearson", "rmse", "mae"), Score(math.nan, math.nan))
    rank, line = _correlation(_ranks(truth), _ranks(guess)), _correlation(truth, guess)
    spread = 1.0 / math.sqrt(len(truth) - 3) if len(truth) > 3 else math.nan
    errors = np.abs(guess - truth)
    rmse = math.sqrt(float(np.square(errors).mean()))
    slope = 0.5 / rmse if rmse else 0.0
    return {
        "spearman": Score(rank, (1.0 - rank**2) * math.sqrt(1.0 + rank**2 / 2.0) * spread),
        "pearson": Score(line, (1.0 - line**2) * spread),
        "rmse": Score(rmse, slope * _mean_error(np.square(errors))),
        "mae": Score(float(errors.mean()), _mean_error(errors)),
    }


def tagging(
    truth: Sequence[np.ndarray], guess: Sequence[np.ndarray], classes: tuple[str, ...], ignored: int
) -> dict[str, Score]:
    """Scores of one tag a word.

    `span_f1` compares whole entities as the CoNLL evaluation and seqeval's default mode do, malformed sequences
    included: ``I-x`` behind another type begins an entity of its own, and ``E-x`` and ``S-x`` end one. A tag without
    such a prefix, other than ``O``, is a type of its own whose entities are runs of equal tags (seqeval takes its first
    letter for a prefix, which is the same unless the letter is one of B, I, E, S, O or all there is).

    Words of one sentence are not independent, so every error is over sentences: `span_f1` by resampling their counts,
    the others by summing each sentence's influence on the score.

    Args:
        truth: the true tags of each sentence, as positions in `classes`.
        guess: the guessed tags, of the same lengths.
        classes: the tags.
        ignored: the number in `truth` of a word without a true tag; such words are left out before anything is read.

    Example:
        >>> tags = ("B-place", "I-place", "O")
        >>> scores = tagging([np.array([0, 1, 2]), np.array([0])], [np.array([0, 2, 2]), np.array([0])], tags, -100)
        >>> scores["span_f1"].value, scores["token_accuracy"].value
        (0.5, 0.75)
    """
    sentence = np.repeat(np.arange(len(truth)), [len(tags) for tags in truth])
    true_tags, found_tags = (np.concatenate([np.zeros(0, np.int64), *rows]) for rows in (truth, guess))
    known = true_tags != ignored
    if not known.any():
        return _nothing("span_f1", "token_accuracy", "token_macro_f1")
    sentence, true_tags, found_tags = sentence[known], true_tags[known], found_tags[known]
    return {
        "span_f1": _span_f1(true_tags, found_tags, sentence, classes),
        **_token_scores(true_tags, found_tags, sentence, len(classes)),
    }


class _Margins(NamedTuple):
    """How often each class was hit, true and found; classes on the last axis."""

    hits: np.ndarray
    true: np.ndarray
    found: np.ndarray


def _margins(true: np.ndarray, found: np.ndarray, counts: np.ndarray, classes: int) -> _Margins:
    hits = np.zeros((*counts.shape[:-1], classes), dtype=counts.dtype)
    diagonal = true == found
    hits[..., true[diagonal]] = counts[..., diagonal]
    return _Margins(hits, _sum_by(true, counts, classes), _sum_by(found, counts, classes))


def _sum_by(labels: np.ndarray, counts: np.ndarray, classes: int) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums = np.zeros((*counts.shape[:-1], classes), dtype=counts.dtype)
    sums[..., present] = np.add.reduceat(counts[..., order], starts, axis=-1)
    return sums


def _f1(counted: _Margins) -> np.ndarray:
    return _ratio(2 * counted.hits, counted.true + counted.found)


def _macro_f1(counted: _Margins) -> np.ndarray:
    return _ratio(_f1(counted).sum(axis=-1), (counted.true + counted.found > 0).sum(axis=-1))


def _matthews(counted: _Margins) -> np.ndarray:
    total = counted.true.sum(axis=-1)
    agreement = counted.hits.sum(axis=-1) * total - (counted.true * counted.found).sum(axis=-1)
    true_spread, found_spread = (total**2 - np.square(side).sum(axis=-1) for side in (counted.true, counted.found))
    return _ratio(agreement, np.sqrt(true_spread.astype(np.float64)) * np.sqrt(found_spread.astype(np.float64)))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A quotient that is 0 where it is not defined."""
    return np.asarray(np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0))


class _Reading(NamedTuple):
    """How each tag is read: its type (-1 for outside), whether it begins, and whether it ends, an entity."""

    kind: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def _read(classes: Iterable[str]) -> _Reading:
    prefixes, types = zip(*map(_parts, classes), strict=True)
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(types))}
    kind = [-1 if prefix == "O" else numbers[kind] for prefix, kind in zip(prefixes, types, strict=True)]
    return _Reading(np.array(kind), np.isin(prefixes, ["B", "S"]), np.isin(prefixes, ["E", "S"]))


def _parts(tag: str) -> tuple[str, tuple[bool, str]]:
    """A prefix and a type; a type spelt without prefix is not the same as one spelt with."""
    if tag in ("O", "B", "I", "E", "S") or tag[:2] in ("B-", "I-", "E-", "S-"):
        return tag[0], (True, tag[2:] or "_")
    return "I", (False, tag)


def _span_f1(truth: np.ndarray, guess: np.ndarray, sentence: np.ndarray, classes: tuple[str, ...]) -> Score:
    reading = _read(classes)
    first = np.diff(sentence, prepend=-1) > 0
    true_stops, found_stops = _spans(truth, first, reading), _spans(guess, first, reading)
    same = (true_stops == found_stops) & (reading.kind[truth] == reading.kind[guess]) & (true_stops >= 0)
    masks = (same, true_stops >= 0, found_stops >= 0)
    per_sentence = np.stack([np.bincount(sentence[mask], minlength=sentence[-1] + 1) for mask in masks], axis=1)
    rows, counts = np.unique(per_sentence[sentence[first]], axis=0, return_counts=True)
    return _resampled(_f1, _Margins(*(counts @ rows)), _Margins(*(_resample(counts) @ rows).T), int(counts.sum()))


def _spans(tags: np.ndarray, first: np.ndarray, reading: _Reading) -> np.ndarray:
    """For a word that begins an entity, the position of the word that ends it; -1 for the others."""
    kind = reading.kind[tags]
    inside = kind >= 0
    broken = first | reading.begins[tags] | np.roll(reading.ends[tags], 1) | (kind != np.roll(kind, 1))
    goes_on = np.append((inside & ~broken)[1:], False)
    stops = np.full(len(tags), -1)
    stops[inside & broken] = np.flatnonzero(inside & ~goes_on)
    return stops


def _token_scores(truth: np.ndarray, guess: np.ndarray, sentence: np.ndarray, classes: int) -> dict[str, Score]:
    right = truth == guess
    counted = _Margins(*(np.bincount(tags, minlength=classes) for tags in (truth[right], truth, guess)))
    accuracy, macro_f1 = float(right.mean()), float(_macro_f1(counted))
    size = counted.true + counted.found
    pull = _ratio(_f1(counted), size)
    influence = (_ratio(2.0 * right, size[truth]) - pull[truth] - pull[guess]) / np.count_nonzero(size)
    return {
        "token_accuracy": Score(accuracy, _clustered((right - accuracy) / len(truth), sentence)),
        "token_macro_f1": Score(macro_f1, _clustered(influence, sentence)),
    }


def _resample(counts: np.ndarray) -> np.ndarray:
    """Counts of samples drawn with replacement, ``[draws, kinds]``, from how often each kind of example was seen."""
    total = int(counts.sum())
    drawn: np.ndarray = np.random.default_rng(0).multinomial(total, counts / total, size=_DRAWS)
    return drawn


def _resampled(statistic: Callable[[_Margins], np.ndarray], seen: _Margins, drawn: _Margins, examples: int) -> Score:
    error = float(statistic(drawn).std(ddof=1)) if examples > 1 else math.nan
    return Score(float(statistic(seen)), error)


def _mean_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _clustered(influence: np.ndarray, cluster: np.ndarray) -> float:
    """The standard error of a score from the influence of each example on it, where those of a cluster go together."""
    sums = np.bincount(cluster, influence)
    clusters = len(np.unique(cluster))
    return math.sqrt(clusters / (clusters - 1) * float(np.square(sums).sum())) if clusters > 1 else math.nan


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


def _nothing(*names: str) -> dict[str, Score]:
    return dict.fromkeys(names, Score(0.0, math.nan))


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number
