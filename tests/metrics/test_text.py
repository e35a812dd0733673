"""Answers, free texts and perplexity, against sacrebleu, rouge-score, the rules of SQuAD and resampled rows."""

from __future__ import annotations

import json
import logging
import math
from functools import cache
from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from tests.metrics.oracles import resampled_errors, scored, values

from motet import metrics

Texts = list[tuple[str, list[str]]]

# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guess", "answers", "exact_match", "token_f1"),
    [
        ("the Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("Denver  \t\n broncos", ["a denver broncos"], 1, 1),
        ("an apple", ["The apple."], 1, 1),
        ("U.S.", ["us"], 1, 1),  # marks vanish, and leave no space behind
        ("well-known", ["wellknown"], 1, 1),
        ("well known", ["well-known"], 0, 0),
        ("there another", ["re nother"], 0, 0),  # an article is a word of its own
        ("the-end", ["theend"], 1, 1),  # marks go before articles
        ("Ben", ["Anna", "Ben Nevis", "Nevis"], 0, 2 / 3),
        ("to be or not to be", ["to be"], 0, 2 * 2 / (6 + 2)),
        ("be be", ["be be be x"], 0, 2 * 2 / (2 + 4)),  # a word counts as often as it is in both
        ("Rio", ["Río"], 0, 0),
        ("„Rio“", ["Rio"], 0, 0),  # only the marks of ASCII vanish
        ("", [], 1, 1),
        ("  ", [], 1, 1),
        ("The.", [], 1, 1),
        ("x", [], 0, 0),
        ("", ["x"], 0, 0),
        ("", ["the"], 1, 1),
        ("", ["the", "x"], 0, 0),  # an answer without words counts only where there is no other
    ],
)
def test_answers_are_compared_as_in_squad(guess: str, answers: list[str], exact_match: float, token_f1: float) -> None:
    found = values(metrics.spans([guess], [answers]))
    assert found == pytest.approx({"exact_match": exact_match, "token_f1": token_f1})


words = st.lists(st.sampled_from(["the", "A", "an", "cat", "Cat.", "it's", "-", "mat", "ß", "théâtre", "7", ""]))
texts = st.tuples(words, st.sampled_from([" ", "\t", "  ", "-"])).map(lambda drawn: drawn[1].join(drawn[0]))


@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_nearest_answer_counts_and_order_does_not(guess: str, answers: list[str]) -> None:
    found = values(metrics.spans([guess], [answers]))
    alone = [values(metrics.spans([guess], [[answer]])) for answer in answers]
    assert found["token_f1"] <= max(one["token_f1"] for one in alone)
    assert found["token_f1"] >= found["exact_match"]
    if all(values(metrics.spans([answer], [[]]))["exact_match"] == 0 for answer in answers):
        assert found == {name: max(one[name] for one in alone) for name in found}
    assert values(metrics.spans([guess], [answers[::-1]])) == found
    assert values(metrics.spans([f"The {guess.upper()}!"], [answers])) == found or "ß" in guess


def test_errors_of_answers_are_of_a_mean() -> None:
    guesses, answers = ["x", "y", "x z", "x"], [["x"]] * 4
    scores = metrics.spans(guesses, answers)
    assert scores["exact_match"].se == pytest.approx(math.sqrt(1 / 3) / 2)
    assert scores["token_f1"].se == pytest.approx(np.std([1, 0, 2 / 3, 1], ddof=1) / 2)


# --- generation -------------------------------------------------------------------------------------------------------

phrases = st.lists(
    st.sampled_from(["the", "cat", "sat", "on", "a", "mat", ",", "mat.", "Lisbon", "größer", "3.5", "$20", "(x)", ""])
).map(" ".join)
corpora = st.lists(st.tuples(phrases, st.lists(phrases, min_size=1, max_size=3)), min_size=1, max_size=6)


def split(rows: Texts) -> tuple[list[str], list[list[str]]]:
    return [guess for guess, _ in rows], [references for _, references in rows]


def common(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """The length of the longest common subsequence."""

    @cache
    def of_first(i: int, j: int) -> int:
        if not i or not j:
            return 0
        if left[i - 1] == right[j - 1]:
            return of_first(i - 1, j - 1) + 1
        return max(of_first(i - 1, j), of_first(i, j - 1))

    return of_first(len(left), len(right))


@settings(max_examples=150)
@given(corpora)
def test_bleu_and_chrf_are_those_of_sacrebleu(rows: Texts) -> None:
    guesses, references = split(rows)
    padded = list(zip_longest(*references))  # sacrebleu takes None for a reference that is not there
    found = values(metrics.generation(guesses, references))
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(guesses, padded).score / 100, abs=1e-12)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(guesses, padded).score / 100, abs=1e-12)


@given(corpora)
def test_other_scores_of_free_texts(rows: Texts) -> None:
    guesses, references = split(rows)
    found = metrics.generation(guesses, references)
    scorer = RougeScorer(["rougeL"])
    rouge = [max(scorer.score(one, guess)["rougeL"].fmeasure for one in wanted) for guess, wanted in rows]
    assert found["rouge_l"].value == pytest.approx(np.mean(rouge))
    assert found["exact_match"].value == np.mean([guess.strip() in [one.strip() for one in row] for guess, row in rows])
    assert found["token_f1"] == metrics.spans(guesses, references)["token_f1"]
    assert scored(found)


@given(*[st.lists(st.sampled_from("abc"), min_size=1, max_size=8).map(tuple)] * 2)
def test_rouge_l_is_f1_of_the_longest_common_subsequence(guess: tuple[str, ...], reference: tuple[str, ...]) -> None:
    found = values(metrics.generation([" ".join(guess)], [[" ".join(reference)]]))["rouge_l"]
    assert found == pytest.approx(2 * common(guess, reference) / (len(guess) + len(reference)))


def test_exact_match_of_free_texts_is_literal() -> None:
    guesses, references = [" The cat.\n", "the cat", "the cat."], [["The cat."], ["The cat."], ["The cat."]]
    scores = values(metrics.generation(guesses, references))
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert scores["token_f1"] == 1.0


def test_rows_without_reference_want_nothing_written() -> None:
    scores = values(metrics.generation(["", "a cat sat here", "a cat sat here"], [[], [], ["a cat sat here"]]))
    assert scores["exact_match"] == pytest.approx(2 / 3)
    assert scores["token_f1"] == pytest.approx(2 / 3)
    assert scores == values(
        metrics.generation(["", "a cat sat here", "a cat sat here"], [[""], [""], ["a cat sat here"]])
    )


def sentences(draw: np.random.Generator, rows: int) -> Texts:
    """References of very different length, and guesses in which words are wrong or missing."""
    vocabulary = np.array([f"{a}{b}" for a in ("mo", "te", "li", "sa") for b in ("ra", "n", "sto", "gel", "pi")])
    made = []
    for _ in range(rows):
        reference = draw.choice(vocabulary, draw.integers(4, 25))
        guess = np.where(draw.random(len(reference)) < draw.uniform(0.5, 1.0), reference, draw.choice(vocabulary))
        made.append((" ".join(guess[draw.random(len(guess)) < 0.95]), [" ".join(reference)]))
    return made


def test_errors_of_corpus_scores_agree_with_the_bootstrap_of_sacrebleu() -> None:
    guesses, references = split(sentences(np.random.default_rng(8), 150))
    found = metrics.generation(guesses, references)
    streams = [[row[0] for row in references]]
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        whole = metric.corpus_score(guesses, streams, n_bootstrap=1000)
        interval = json.loads(whole.format(width=8, is_json=True, signature="seed:fixed"))["confidence_var"]
        assert found[name].value == pytest.approx(whole.score / 100)
        assert found[name].se == pytest.approx(interval / 100 / 1.96, rel=0.2)


def test_errors_of_free_texts_are_the_same_every_time() -> None:
    guesses, references = split(sentences(np.random.default_rng(1), 20))
    assert metrics.generation(guesses, references) == metrics.generation(guesses, references)


def test_texts_with_points_that_stand_apart_are_no_reason_to_complain(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        metrics.generation(["a cat ."] * 120, [["a cat ."]] * 120)
    assert not caplog.records


# --- perplexity -------------------------------------------------------------------------------------------------------


def test_perplexity_of_a_uniform_guess_is_the_number_of_choices() -> None:
    score = metrics.perplexity(np.full(12, math.log(50)), np.array([3, 0, 4, 5]))["perplexity"]
    assert score.value == pytest.approx(50)
    assert score.se == pytest.approx(0, abs=1e-9)


def test_perplexity_is_over_tokens_not_rows() -> None:
    score = metrics.perplexity(np.log([2.0, 2.0, 8.0]), np.array([2, 1]))["perplexity"]
    assert score.value == pytest.approx((2 * 2 * 8) ** (1 / 3))


def test_perplexity_error_agrees_with_resampled_rows() -> None:
    draw = np.random.default_rng(11)
    lengths = draw.integers(1, 30, 250)
    rows = [draw.gamma(2.0, draw.uniform(0.5, 1.5), length) for length in lengths]  # some rows are harder than others

    def score(numbers: np.ndarray) -> dict[str, float]:
        return values(metrics.perplexity(np.concatenate([rows[row] for row in numbers]), lengths[numbers]))

    found = metrics.perplexity(np.concatenate(rows), lengths)
    expected = resampled_errors(score, len(rows), draw)
    assert found["perplexity"].se == pytest.approx(expected["perplexity"], rel=0.2)


def test_tokens_of_one_row_count_as_one_observation() -> None:
    error = metrics.perplexity(np.repeat([1.0, 2.0] * 20, 30), np.full(40, 30))["perplexity"].se
    assert error == pytest.approx(math.exp(1.5) * math.sqrt(0.25 / 39))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_likelihoods_that_are_not_finite_are_not_hidden(bad: float) -> None:
    score = metrics.perplexity(np.array([1.0, bad, 2.0]), np.array([2, 1]))["perplexity"]
    assert math.isnan(score.value)
    assert math.isnan(score.se)


def test_perplexity_beyond_what_a_number_holds_is_infinite() -> None:
    assert metrics.perplexity(np.full(4, 1e4), np.array([2, 2]))["perplexity"].value == math.inf
