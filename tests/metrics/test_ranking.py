"""Candidates put in order, against scikit-learn, plain counting and resampled queries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from tests.metrics.oracles import resampled_errors, scored, values

from motet import metrics
from motet.metrics import Score

NAMES = ("map", "mrr", "ndcg", "precision_at_1", "recall_at_5")


def one_query(scores: np.ndarray, relevance: np.ndarray) -> dict[str, float]:
    order = np.argsort(-scores, kind="stable")
    places = np.empty(len(order))
    places[order] = -np.arange(len(order))  # without ties, which scikit-learn averages over
    ranked = [bool(relevance[candidate] > 0) for candidate in order]
    several = len(ranked) > 1  # scikit-learn has no gain of a single candidate
    return {
        "map": float(sklearn.average_precision_score(relevance > 0, places)),
        "mrr": 1 / (ranked.index(True) + 1),
        "ndcg": float(sklearn.ndcg_score([relevance], [places])) if several else 1.0,
        "precision_at_1": float(ranked[0]),
        "recall_at_5": sum(ranked[:5]) / sum(ranked),
    }


def by_query(scores: np.ndarray, relevance: np.ndarray, groups: np.ndarray) -> list[dict[str, float]]:
    whole = [(scores[groups == query], relevance[groups == query]) for query in np.unique(groups)]
    return [one_query(*query) for query in whole if (query[1] > 0).any()]


candidates = st.lists(
    st.tuples(st.integers(-3, 3), st.sampled_from([0, 0, 0, 1, 1, 3]), st.integers(5, 8)), min_size=1, max_size=40
)


@settings(max_examples=200)
@given(candidates)
def test_ranking_equals_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    scores, relevance, groups = np.array(rows).T
    found = metrics.ranking(scores.astype(float), relevance, groups)
    queries = by_query(scores, relevance, groups)
    assert tuple(found) == NAMES
    for name, score in found.items():
        each = [query[name] for query in queries]
        assert score.value == pytest.approx(np.mean(each) if each else 0.0, abs=1e-12)
        error = np.std(each, ddof=1) / math.sqrt(len(each)) if len(each) > 1 else math.nan
        assert score.se == pytest.approx(error, nan_ok=True, abs=1e-12)


@settings(max_examples=100)
@given(candidates, st.sampled_from([0, 0.5, 1, 2, 3, 9]))
def test_only_ndcg_has_a_use_for_lower_grades(rows: list[tuple[int, int, int]], least: float) -> None:
    scores, relevance, groups = np.array(rows).T
    found = metrics.ranking(scores, relevance, groups, least)
    graded = metrics.ranking(scores, relevance, groups)
    expected = metrics.ranking(scores, (relevance >= least) & (relevance > 0), groups)
    assert tuple(found) == NAMES
    assert str(found) == str({**expected, "ndcg": graded["ndcg"]})  # as text, since an error that is nan equals nothing


def test_a_query_whose_best_grade_is_too_low_is_in_ndcg_alone() -> None:
    found = metrics.ranking(np.array([2.0, 1.0, 2.0, 1.0]), np.array([0, 2, 0, 1]), np.array([0, 0, 1, 1]), relevant=2)
    assert found["map"].value == 0.5
    assert math.isnan(found["map"].se), "there is one query to score"
    assert found["ndcg"].value == pytest.approx(1 / math.log2(3))
    assert not math.isnan(found["ndcg"].se)


def test_candidates_of_equal_score_keep_their_order() -> None:
    same = np.zeros(3)
    first = metrics.ranking(same, np.array([1, 0, 0]), np.zeros(3))
    last = metrics.ranking(same, np.array([0, 0, 1]), np.zeros(3))
    assert first["mrr"].value == 1.0
    assert last["mrr"].value == pytest.approx(1 / 3)


def test_a_query_may_be_scattered_and_have_any_name() -> None:
    scores, relevance = np.array([0.1, 0.2, 0.9, 0.8]), np.array([1, 0, 0, 1])
    together = metrics.ranking(scores, relevance, np.array([1, 1, 2, 2]))
    scattered = metrics.ranking(scores[[0, 2, 1, 3]], relevance[[0, 2, 1, 3]], np.array(["b", "a", "b", "a"]))
    assert scattered == together


def test_queries_without_a_relevant_candidate_are_left_out() -> None:
    scores, relevance, groups = np.array([0.3, 0.6, 0.9, 0.7]), np.array([1, 0, 2, 1]), np.array([0, 0, 1, 1])
    more = metrics.ranking(np.append(scores, [1.0, 2.0]), np.append(relevance, [0, 0]), np.append(groups, [2, 0]))
    less = metrics.ranking(np.append(scores, 2.0), np.append(relevance, 0), np.append(groups, 0))
    assert more == less


def test_gain_is_the_relevance_itself() -> None:
    found = metrics.ranking(np.array([0.2, 0.1]), np.array([0.5, 3.0]), np.zeros(2))
    assert found["ndcg"].value == pytest.approx((0.5 + 3 / math.log2(3)) / (3 + 0.5 / math.log2(3)))


def test_recall_counts_the_first_five() -> None:
    relevance = np.array([0, 1, 0, 0, 1, 1, 0, 1])
    found = metrics.ranking(np.arange(8.0, 0.0, -1.0), relevance, np.zeros(8))
    assert found["recall_at_5"].value == 2 / 4
    assert found["map"].value == pytest.approx((1 / 2 + 2 / 5 + 3 / 6 + 4 / 8) / 4)


def test_perfect_and_constant_rankings() -> None:
    relevance, groups = np.array([2, 1, 0, 1, 0]), np.array([0, 0, 0, 1, 1])
    perfect = metrics.ranking(relevance.astype(float), relevance, groups)
    assert set(perfect.values()) == {Score(1.0, 0.0)}
    assert scored(metrics.ranking(np.ones(5), np.ones(5), groups))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_not_hidden(bad: float) -> None:
    found = metrics.ranking(np.array([0.1, bad, 0.3]), np.array([1, 0, 0]), np.zeros(3))
    assert all(math.isnan(score.value) and math.isnan(score.se) for score in found.values())


def test_ranking_errors_agree_with_resampled_queries() -> None:
    draw = np.random.default_rng(6)
    relevance = draw.choice(4, (200, 10), p=[0.7, 0.15, 0.1, 0.05])
    relevance[:, 3] = np.maximum(relevance[:, 3], 1)
    scores = relevance + draw.normal(scale=1.5, size=(200, 10))
    found = metrics.ranking(scores.ravel(), relevance.ravel(), np.repeat(np.arange(200), 10))

    def score(rows: np.ndarray) -> dict[str, float]:
        groups = np.repeat(np.arange(200), 10)
        return values(metrics.ranking(scores[rows].ravel(), relevance[rows].ravel(), groups))

    expected = resampled_errors(score, 200, draw)
    assert {name: score.se for name, score in found.items()} == pytest.approx(expected, rel=0.2)
