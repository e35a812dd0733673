"""How a score follows from numbers of single examples, so that examples can be drawn again.

Every formula turns the numbers of all examples into a function from weights ``[draws, examples]`` to scores
``[draws]``, as `motet.significance.paired_bootstrap` asks for it.

    mean                        one number: the mean
    ratio  root  exponential    two: the quotient of their sums, its root, its exponential
    macro_f1 class_f1 matthews  fours of class, hits, how often true, how often found
    pearson  spearman  quadratic_kappa       truth and guess
    bleu  chrf                  the counts that these are made of

>>> evidence = Evidence("ratio", np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 2, 4]))
>>> evidence.scores(np.array([[1, 1], [2, 0]])).round(3).tolist()
[0.667, 0.5]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from motet.metrics.confusion import Margins, class_f1, macro_f1, ratio
from motet.significance import mean_of

__all__ = ["FORMULAS", "Evidence"]

Weighted = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evidence:
    """What the score of one task follows from.

    Args:
        formula: one of `FORMULAS`; empty where examples cannot be drawn again.
        numbers: of all examples, one behind the other.
        offsets: where those of each example begin, ``[examples + 1]``.
        positive: the class that `class_f1` is about.
    """

    formula: str
    numbers: np.ndarray
    offsets: np.ndarray
    positive: int = 0

    @classmethod
    def of(cls, formula: str, rows: Sequence[Sequence[float]], positive: int = 0) -> Evidence:
        """The numbers of each example."""
        lengths = [len(row) for row in rows]
        flat = np.array([number for row in rows for number in row], dtype=np.float64)
        return cls(formula, flat, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), positive)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def scores(self) -> Weighted:
        """The score for every draw of the examples."""
        return FORMULAS[self.formula](self)

    @property
    def columns(self) -> np.ndarray:
        """The numbers where every example has equally many, ``[numbers, examples]``."""
        return np.asarray(self.numbers.reshape(len(self), -1).T)


def _quotient(transform: Callable[[np.ndarray], np.ndarray]) -> Callable[[Evidence], Weighted]:
    def formula(evidence: Evidence) -> Weighted:
        above, below = evidence.columns
        return lambda weights: transform(ratio(weights @ above, weights @ below))

    return formula


def _by_class(score: Callable[[Margins, int], np.ndarray]) -> Callable[[Evidence], Weighted]:
    def formula(evidence: Evidence) -> Weighted:
        fours = evidence.numbers.reshape(-1, 4)
        row = np.repeat(np.arange(len(evidence)), np.diff(evidence.offsets) // 4)
        kind = fours[:, 0].astype(np.int64)
        shape = (len(evidence), max(int(kind.max(initial=0)), evidence.positive) + 1)
        tables = [sparse.csr_array((fours[:, at], (row, kind)), shape=shape) for at in (1, 2, 3)]
        return lambda weights: score(Margins(*(weights @ table for table in tables)), evidence.positive)

    return formula


def _matthews(counted: Margins, positive: int) -> np.ndarray:
    total = counted.true.sum(axis=1)
    agreement = counted.hits.sum(axis=1) * total - (counted.true * counted.found).sum(axis=1)
    spreads = [total**2 - np.square(side).sum(axis=1) for side in (counted.true, counted.found)]
    return ratio(agreement, np.sqrt(spreads[0]) * np.sqrt(spreads[1]))


def _kappa(evidence: Evidence) -> Weighted:
    true, found = evidence.columns

    def scores(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        observed = total * (weights @ np.square(true - found))
        squares = total * (weights @ (np.square(true) + np.square(found)))
        expected = squares - 2.0 * (weights @ true) * (weights @ found)
        return ratio(expected - observed, expected)

    return scores


def _pearson(evidence: Evidence) -> Weighted:
    left, right = evidence.columns
    return lambda weights: _correlation(weights, left - left.mean(), right - right.mean())


def _spearman(evidence: Evidence) -> Weighted:
    ranks = [_ranking(side) for side in evidence.columns]
    return lambda weights: _correlation(weights, ranks[0](weights), ranks[1](weights))


def _ranking(values: np.ndarray) -> Weighted:
    """The rank of every example in every draw, ``[draws, examples]``; equal values share their mean rank."""
    _, place = np.unique(values, return_inverse=True)
    table = sparse.csr_array((np.ones(len(values)), (np.arange(len(values)), place)))

    def ranks(weights: np.ndarray) -> np.ndarray:
        counts = weights @ table
        found: np.ndarray = (np.cumsum(counts, axis=1) - (counts - 1.0) / 2.0)[:, place]
        return found

    return ranks


def _correlation(weights: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The linear correlation in every draw; that with a constant is 0."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    centred = [side - (shares * side).sum(axis=1, keepdims=True) for side in (left, right)]
    spreads = [np.sqrt((shares * np.square(side)).sum(axis=1)) for side in centred]
    together = (shares * centred[0] * centred[1]).sum(axis=1)
    return np.asarray(np.clip(ratio(together, spreads[0] * spreads[1]), -1.0, 1.0))


def _of_corpus(name: str) -> Callable[[Evidence], Weighted]:
    def formula(evidence: Evidence) -> Weighted:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        metric = BLEU(force=True) if name == "bleu" else CHRF()
        table = evidence.columns.T

        def scores(weights: np.ndarray) -> np.ndarray:
            sums = np.rint(weights @ table).astype(np.int64).tolist()
            return np.array([metric._compute_score_from_stats(one).score / 100.0 for one in sums])

        return scores

    return formula


FORMULAS: dict[str, Callable[[Evidence], Weighted]] = {
    "mean": lambda evidence: mean_of(evidence.columns[0]),
    "ratio": _quotient(lambda quotient: quotient),
    "root": _quotient(np.sqrt),
    "exponential": _quotient(np.exp),
    "macro_f1": _by_class(lambda counted, positive: macro_f1(counted)),
    "class_f1": _by_class(lambda counted, positive: class_f1(counted)[:, positive]),
    "matthews": _by_class(_matthews),
    "pearson": _pearson,
    "spearman": _spearman,
    "quadratic_kappa": _kappa,
    "bleu": _of_corpus("bleu"),
    "chrf": _of_corpus("chrf"),
}
