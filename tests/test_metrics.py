"""Scores against scikit-learn, scipy and seqeval; standard errors against resampling examples one by one."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seqeval.metrics import f1_score as seqeval_f1
from sklearn import metrics as sklearn

from motet import metrics
from motet.metrics import METRICS, Score

IGNORED = -100
exactly = settings(max_examples=100)
Scorer = Callable[..., dict[str, Score]]


def test_score_survives_json() -> None:
    score = Score(0.25, 0.125)
    assert Score.from_plain(json.loads(json.dumps(score.plain()))) == score


def test_unknown_numbers_are_null_in_json() -> None:
    plain = Score(math.nan, math.nan).plain()
    assert plain == {"value": None, "se": None}
    back = Score.from_plain(plain)
    assert math.isnan(back.value)
    assert math.isnan(back.se)


def test_every_score_is_a_known_metric() -> None:
    row = np.array([0, 1])
    scores = {
        **metrics.classification(row, row, classes=2, positive=1),
        **metrics.regression(row.astype(float), row.astype(float)),
        **metrics.tagging([row], [row], ("O", "B-x"), IGNORED),
    }
    assert scores.keys() == METRICS.keys()
    assert all(metric.name == name and metric.description for name, metric in METRICS.items())
    assert {name for name, metric in METRICS.items() if not metric.higher_is_better} == {"rmse", "mae"}


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


labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


@exactly
@given(labels, st.integers(0, 5))
def test_classification_equals_scikit_learn(pairs: list[tuple[int, int]], positive: int) -> None:
    truth, guess = np.array(pairs).T
    scores = metrics.classification(truth, guess, classes=6, positive=positive)
    assert values(scores) == pytest.approx(sklearn_scores(truth, guess, positive), abs=1e-12)
    assert all(score.se >= 0 for score in scores.values()) == (len(truth) > 1)


@pytest.mark.parametrize(
    ("truth", "guess"),
    [([1, 1, 1], [1, 1, 1]), ([0, 0, 0], [1, 1, 1]), ([0, 1, 0, 1], [1, 0, 1, 0]), ([3], [3]), ([0, 1, 2], [2, 2, 2])],
    ids=["one class", "one class, all wrong", "all wrong", "one row", "constant guess"],
)
def test_classification_of_odd_inputs_equals_scikit_learn(truth: list[int], guess: list[int]) -> None:
    scores = metrics.classification(np.array(truth), np.array(guess), classes=4, positive=1)
    assert values(scores) == pytest.approx(sklearn_scores(np.array(truth), np.array(guess), positive=1), abs=1e-12)


def test_classification_errors_agree_with_resampled_examples() -> None:
    draw = np.random.default_rng(3)
    truth = draw.choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    guess = np.where(draw.random(300) < 0.75, truth, draw.integers(0, 4, 300))
    scores = metrics.classification(truth, guess, classes=4, positive=2)
    resampled = []
    for _ in range(300):
        rows = draw.integers(0, 300, 300)
        resampled.append(sklearn_scores(truth[rows], guess[rows], positive=2))
    for name, score in scores.items():
        assert score.se == pytest.approx(np.std([sample[name] for sample in resampled]), rel=0.2), name


def test_accuracy_error_is_binomial() -> None:
    truth = np.zeros(80, dtype=np.int64)
    guess = (np.arange(80) < 20).astype(np.int64)
    assert metrics.classification(truth, guess, 2, 1)["accuracy"].se == pytest.approx(math.sqrt(0.75 * 0.25 / 80))


def test_errors_are_the_same_every_time() -> None:
    truth, guess = np.random.default_rng(0).integers(0, 5, (2, 200))
    assert metrics.classification(truth, guess, 5, 0) == metrics.classification(truth, guess, 5, 0)


def test_matthews_does_not_overflow_on_many_rows() -> None:
    truth = np.repeat(np.array([0, 1, 1, 0]), 600_000)
    guess = np.repeat(np.array([0, 1, 0, 0]), 600_000)
    assert metrics.classification(truth, guess, 2, 1)["matthews"].value == pytest.approx(1 / math.sqrt(3))


# --- regression -------------------------------------------------------------------------------------------------------

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 3))


@exactly
@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40))
def test_regression_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    truth, guess = np.array(pairs).T
    found = values(metrics.regression(truth, guess))
    assert found["mae"] == pytest.approx(float(sklearn.mean_absolute_error(truth, guess)))
    assert found["rmse"] == pytest.approx(math.sqrt(sklearn.mean_squared_error(truth, guess)))
    if np.ptp(truth) > 0 and np.ptp(guess) > 0:
        assert found["spearman"] == pytest.approx(stats.spearmanr(truth, guess).statistic, abs=1e-9)
        assert found["pearson"] == pytest.approx(np.corrcoef(truth, guess)[0, 1], abs=1e-6)


@exactly
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_ranks_of_ties_equal_scipy(whole: list[int]) -> None:
    found = metrics.regression(np.array(whole, dtype=float), np.arange(len(whole), dtype=float))["spearman"].value
    expected = stats.spearmanr(whole, np.arange(len(whole))).statistic if len(set(whole)) > 1 else 0.0
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, 7.3])  # the mean of equal numbers may differ from them in the last bit
def test_a_constant_correlates_with_nothing(constant: float) -> None:
    varied, flat = np.arange(19.0), np.full(19, constant)
    for scores in (metrics.regression(varied, flat), metrics.regression(flat, varied), metrics.regression(flat, flat)):
        assert scores["pearson"].value == 0.0
        assert scores["spearman"].value == 0.0
        assert scores["pearson"].se == 0.25


def test_correlation_of_large_and_of_tiny_numbers() -> None:
    truth = np.array([1.0, 2.0, 3.0, 5.0])
    for scale in (1e-200, 1e70):
        assert metrics.regression(truth, truth * scale)["pearson"].value == pytest.approx(1.0)


def test_regression_errors_agree_with_resampled_examples() -> None:
    draw = np.random.default_rng(5)
    truth = draw.normal(size=400)
    guess = 0.6 * truth + draw.normal(scale=0.5, size=400)
    scores = metrics.regression(truth, guess)
    resampled = []
    for _ in range(600):
        rows = draw.integers(0, 400, 400)
        resampled.append(values(metrics.regression(truth[rows], guess[rows])))
    for name, score in scores.items():
        assert score.se == pytest.approx(np.std([sample[name] for sample in resampled]), rel=0.2), name


def test_exact_predictions_have_no_error() -> None:
    scores = metrics.regression(np.arange(10.0), np.arange(10.0))
    assert scores["rmse"] == scores["mae"] == Score(0.0, 0.0)
    assert scores["pearson"].value == pytest.approx(1.0)


def test_predictions_that_are_not_finite_are_not_hidden() -> None:
    for bad in (math.nan, math.inf):
        scores = metrics.regression(np.arange(5.0), np.array([0.0, 1.0, bad, 3.0, 4.0]))
        assert all(math.isnan(score.value) for score in scores.values())


def test_error_of_a_single_row_is_unknown() -> None:
    numbers = metrics.regression(np.array([1.0]), np.array([3.0]))
    assert numbers["rmse"].value == numbers["mae"].value == 2.0
    label = metrics.classification(np.array([1]), np.array([1]), classes=2, positive=1)
    assert label["accuracy"].value == 1.0
    assert all(math.isnan(score.se) for score in (*numbers.values(), *label.values()))


# --- tagging ----------------------------------------------------------------------------------------------------------

BIO = ("O", "B-per", "I-per", "B-loc", "I-loc")
BIOES = ("O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("x", "y-z")))
BARE = ("O", "B", "I", "E", "S", "B-x", "I-x", "I-_")
PLAIN = ("O", "noun", "verb", "adverb")


def oracle(truth: Sequence[Sequence[int]], guess: Sequence[Sequence[int]], classes: Sequence[str]) -> float:
    spelt = [[[classes[tag] for tag in tags] for tags in rows] for rows in (truth, guess)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns of plain tags
        return float(seqeval_f1(*spelt, zero_division=0))


def span_f1(truth: Sequence[Sequence[int]], guess: Sequence[Sequence[int]], classes: Sequence[str]) -> float:
    return metrics.tagging(arrays(truth), arrays(guess), tuple(classes), IGNORED)["span_f1"].value


def sentences(tags: int) -> st.SearchStrategy[list[list[tuple[int, int]]]]:
    """Sentences of true and guessed tags, half of the guesses right."""
    one = st.integers(0, tags - 1)
    pair = st.one_of(one.map(lambda tag: (tag, tag)), st.tuples(one, one))
    return st.lists(st.lists(pair, max_size=8), min_size=1, max_size=5).filter(any)


@pytest.mark.parametrize("classes", [BIO, BIOES, BARE, PLAIN], ids=["BIO", "BIOES", "bare", "plain"])
@settings(max_examples=150)
@given(data=st.data())
def test_span_f1_equals_seqeval(classes: tuple[str, ...], data: st.DataObject) -> None:
    pairs = data.draw(sentences(len(classes)))
    truth, guess = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    assert span_f1(truth, guess, classes) == pytest.approx(oracle(truth, guess, classes), abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ("O I-per I-per O", "O B-per I-per O", 1.0),  # IOB1 and IOB2 mean the same entity
        ("B-per I-loc O O", "B-per O O O", 2 / 3),  # another type behind I- begins a second entity
        ("B-per B-per O O", "B-per I-per O O", 0.0),  # one entity of two words is not two of one
        ("I-per I-per O O", "O I-per O O", 0.0),
        ("B-per I-per I-per O", "B-per I-per O O", 0.0),  # half an entity counts nothing
        ("O O O O", "O O O O", 0.0),
        ("O O O O", "B-per O O B-loc", 0.0),
        ("B-per O B-loc I-loc", "B-per O B-loc I-loc", 1.0),
    ],
)
def test_span_f1_of_malformed_sentences(truth: str, guess: str, expected: float) -> None:
    true_rows, found_rows = ([[BIO.index(tag) for tag in tags.split()]] for tags in (truth, guess))
    assert span_f1(true_rows, found_rows, BIO) == pytest.approx(expected)
    assert oracle(true_rows, found_rows, BIO) == pytest.approx(expected)


def test_plain_tags_are_runs_whatever_their_first_letter() -> None:
    classes = ("O", "SYM", "X", "INTJ", "OTHER")
    truth, guess = [[1, 1, 2, 0, 3, 3, 4]], [[1, 1, 2, 2, 3, 0, 4]]
    assert span_f1(truth, guess, classes) == pytest.approx(2 * 2 / (4 + 4))  # SYM and OTHER of four each


def test_a_plain_tag_is_no_type_of_a_prefixed_one() -> None:
    assert span_f1([[1, 2]], [[1, 1]], ("O", "B-x", "x")) == pytest.approx(2 / 4)


def test_entities_end_with_their_sentence() -> None:
    assert span_f1([[1, 2], [2, 2]], [[1, 2], [2, 2]], BIO) == 1.0
    assert span_f1([[1, 2], [2, 2]], [[1, 2], [0, 2]], BIO) == pytest.approx(0.5)


def test_words_without_a_true_tag_are_left_out() -> None:
    whole = metrics.tagging(arrays([[1, 2, 0], [3, 4]]), arrays([[1, 2, 3], [3, 0]]), BIO, IGNORED)
    holes = metrics.tagging(
        arrays([[1, IGNORED, 2, 0], [IGNORED], [3, 4]]), arrays([[1, 3, 2, 3], [1], [3, 0]]), BIO, IGNORED
    )
    assert holes == whole


@exactly
@given(sentences(len(BIO)))
def test_token_scores_equal_scikit_learn(pairs: list[list[tuple[int, int]]]) -> None:
    truth, guess = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    found = values(metrics.tagging(arrays(truth), arrays(guess), BIO, IGNORED))
    expected = sklearn_scores(np.concatenate(arrays(truth)), np.concatenate(arrays(guess)), positive=0)
    assert found["token_accuracy"] == pytest.approx(expected["accuracy"], abs=1e-12)
    assert found["token_macro_f1"] == pytest.approx(expected["macro_f1"], abs=1e-12)


def test_tagging_errors_agree_with_resampled_sentences() -> None:
    draw = np.random.default_rng(7)
    truth, guess = _tagged(draw, 250, 12)
    scores = metrics.tagging(truth, guess, BIO, IGNORED)
    resampled = []
    for _ in range(300):
        rows = draw.integers(0, len(truth), len(truth))
        sample = metrics.tagging([truth[row] for row in rows], [guess[row] for row in rows], BIO, IGNORED)
        resampled.append(values(sample))
    for name, score in scores.items():
        assert score.se == pytest.approx(np.std([sample[name] for sample in resampled]), rel=0.2), name


def test_words_of_one_sentence_count_as_one_observation() -> None:
    truth = [np.zeros(30, dtype=np.int64)] * 50
    guess = [np.full(30, row % 2) for row in range(50)]
    error = metrics.tagging(truth, guess, BIO, IGNORED)["token_accuracy"].se
    assert error == pytest.approx(math.sqrt(0.25 / 49))


def test_error_of_a_single_sentence_is_unknown() -> None:
    scores = metrics.tagging(arrays([[1, 2, 0]]), arrays([[1, 0, 0]]), BIO, IGNORED)
    assert all(math.isnan(score.se) for score in scores.values())


def test_tagging_is_fast() -> None:
    truth, guess = _tagged(np.random.default_rng(0), 2000, 25)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        metrics.tagging(truth, guess, BIO, IGNORED)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3


@pytest.mark.parametrize(
    ("scorer", "arguments"),
    [
        (metrics.classification, (np.zeros(0, np.int64), np.zeros(0, np.int64), 3, 1)),
        (metrics.regression, (np.zeros(0), np.zeros(0))),
        (metrics.tagging, ([], [], BIO, IGNORED)),
        (metrics.tagging, (np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64), BIO, IGNORED)),
        (metrics.tagging, ([np.array([IGNORED])], [np.array([1])], BIO, IGNORED)),
    ],
    ids=["classification", "regression", "tagging", "tagging of empty sentences", "tagging without true tags"],
)
def test_nothing_scores_zero_with_unknown_error(scorer: Scorer, arguments: tuple[object, ...]) -> None:
    for score in scorer(*arguments).values():
        assert score.value == 0.0
        assert math.isnan(score.se)


def values(scores: dict[str, Score]) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def arrays(rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.int64) for row in rows]


def _tagged(draw: np.random.Generator, sentences: int, words: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    truth = [draw.choice(5, words, p=[0.6, 0.15, 0.1, 0.1, 0.05]) for _ in range(sentences)]
    skill = draw.uniform(0.5, 1.0, sentences)  # some sentences are harder than others
    guess = [
        np.where(draw.random(words) < sure, tags, draw.integers(0, 5, words))
        for tags, sure in zip(truth, skill, strict=True)
    ]
    return truth, guess
