"""Scores of candidates put in order, query by query."""

from __future__ import annotations

import numpy as np

from motet.metrics.base import Score, mean_score, nothing, unknown

__all__ = ["ranking"]

_NAMES = ("map", "mrr", "ndcg", "precision_at_1", "recall_at_5")


def ranking(scores: np.ndarray, relevance: np.ndarray, groups: np.ndarray, relevant: float = 0.0) -> dict[str, Score]:
    """Scores of candidates put in order, query by query.

    Queries without a relevant candidate are left out. Candidates of equal score keep the order in which they are given.
    `ndcg` is over the whole list, with the relevance itself for a gain and a discount of ``log2(rank + 1)``; it has a
    use for every grade, so all that is above 0 is relevant to it. Every error is of a mean over queries.

    Args:
        scores: one for each candidate, the highest ranks first.
        relevance: one for each candidate, at least 0.
        groups: the query of each candidate, in any order.
        relevant: the relevance from which on a candidate is relevant to all scores but `ndcg`; 0 for any above 0.

    Relations:
        `classification` or `ordinal` for candidates that are judged one by one.

    Example:
        >>> found = ranking(np.array([0.9, 0.5, 0.1, 0.7]), np.array([0, 1, 0, 1]), np.array([0, 0, 0, 1]))
        >>> found["map"].value, found["mrr"].value, found["precision_at_1"].value
        (0.75, 0.75, 0.5)
    """
    certain = np.where(relevance < relevant, 0, relevance)
    return {**_scores(scores, certain, groups), "ndcg": _scores(scores, relevance, groups)["ndcg"]}


def _scores(scores: np.ndarray, relevance: np.ndarray, groups: np.ndarray) -> dict[str, Score]:
    known = np.isin(groups, groups[relevance > 0])
    if not known.any():
        return nothing(*_NAMES)
    if not np.isfinite(scores).all():
        return unknown(*_NAMES)
    query = np.unique(groups[known], return_inverse=True)[1]
    best_first = np.lexsort((-scores[known].astype(np.float64), query))
    ideally = np.lexsort((-relevance[known].astype(np.float64), query))
    values = _per_query(relevance[known][best_first], relevance[known][ideally], query[best_first])
    return {name: mean_score(each) for name, each in zip(_NAMES, values, strict=True)}


def _per_query(ranked: np.ndarray, ideal: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, ...]:
    """The scores of each query, from relevances in the order found and in the best one, queries behind each other."""
    relevant = ranked > 0
    starts = np.flatnonzero(np.diff(query, prepend=-1))
    rank = np.arange(1, len(query) + 1) - starts[query]
    upto: np.ndarray = np.cumsum(relevant)
    hits = upto - (upto - relevant)[starts][query]
    discount = np.log2(rank + 1)
    wanted = np.bincount(query, relevant)
    return (
        np.bincount(query, relevant * hits / rank) / wanted,
        np.bincount(query, (relevant & (hits == 1)) / rank),
        np.bincount(query, ranked / discount) / np.bincount(query, ideal / discount),
        np.bincount(query, relevant & (rank == 1)),
        np.bincount(query, relevant & (rank <= 5)) / wanted,
    )
