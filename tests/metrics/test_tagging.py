"""One tag a word, against seqeval, the rules of conlleval, scikit-learn and resampled sentences."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1
from tests.metrics.oracles import resampled_errors, sklearn_scores, values

from motet import metrics

IGNORED = -100
BIO = ("O", "B-per", "I-per", "B-loc", "I-loc")
BIOES = ("O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("x", "y-z")))
BARE = ("O", "B", "I", "E", "S", "B-x", "I-x", "I-_")
PLAIN = ("O", "noun", "verb", "adverb")
IOE = ("O", *(f"{prefix}-{kind}" for prefix in "IE" for kind in ("x", "y-z")))

# Where conlleval sees an entity begin, and where it sees one end, from the prefixes of a word and the one before it.
# Besides, one begins and another ends wherever the type changes.
SCRIPT_BEGINS = {"OB", "OI", "OE", "BB", "IB", "EE", "EI"}
SCRIPT_ENDS = {"BO", "IO", "EO", "BB", "IB", "EE", "EI"}


def oracle(truth: Sequence[Sequence[int]], guess: Sequence[Sequence[int]], classes: Sequence[str]) -> float:
    spelt = [[[classes[tag] for tag in tags] for tags in rows] for rows in (truth, guess)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns of plain tags
        return float(seqeval_f1(*spelt, zero_division=0))


def span_f1(truth: Sequence[Sequence[int]], guess: Sequence[Sequence[int]], classes: Sequence[str]) -> float:
    return metrics.tagging(arrays(truth), arrays(guess), tuple(classes), IGNORED)["span_f1"].value


def script_entities(rows: Sequence[Sequence[int]], classes: Sequence[str]) -> set[tuple[int, int, str]]:
    """What conlleval counts: begin, end and type, over all sentences, with a word outside behind each of them."""
    spelt = [tag for tags in rows for tag in (*(classes[tag] for tag in tags), "O")]
    entities, begin = set(), -1
    for at, (before, here) in enumerate(zip(["O", *spelt], spelt, strict=False)):
        (last, _, old), (prefix, _, kind) = before.partition("-"), here.partition("-")
        changed = old != kind
        if begin >= 0 and (last + prefix in SCRIPT_ENDS or (last != "O" and changed)):
            entities.add((begin, at, old))
            begin = -1
        if last + prefix in SCRIPT_BEGINS or (prefix != "O" and changed):
            begin = at
    return entities


def script_f1(truth: Sequence[Sequence[int]], guess: Sequence[Sequence[int]], classes: Sequence[str]) -> float:
    true, found = (script_entities(rows, classes) for rows in (truth, guess))
    return 2 * len(true & found) / max(1, len(true) + len(found))


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


@pytest.mark.parametrize("classes", [BIO, ("O", "B", "I", "B-x", "I-x", "I-x-y"), IOE], ids=["BIO", "bare", "IOE"])
@settings(max_examples=150)
@given(data=st.data())
def test_span_f1_equals_the_script(classes: tuple[str, ...], data: st.DataObject) -> None:
    pairs = data.draw(sentences(len(classes)))
    truth, guess = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    assert span_f1(truth, guess, classes) == pytest.approx(script_f1(truth, guess, classes), abs=1e-12)


def test_where_the_script_reads_ends_otherwise() -> None:
    tags = ("B-x", "I-x", "E-x", "S-x")
    differ = set()
    for one, other in product(range(4), repeat=2):
        two_here = span_f1([[one, other]], [[3, 3]], tags) == 1.0
        two_there = len(script_entities([[one, other]], tags)) == 2
        assert two_here == (oracle([[one, other]], [[3, 3]], tags) == 1.0)
        differ |= {tags[one][0] + tags[other][0]} if two_here != two_there else set()
    assert differ == {"EB", "BS", "IS", "ES", "SS", "SB", "SI", "SE"}


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


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ("B-x E-x O S-x", "I-x E-x O B-x", 1.0),  # what ends an entity, and what begins one, is enough to see it
        ("S-x S-x O O", "B-x I-x O O", 0.0),
        ("S-x S-x O O", "B-x B-x O O", 1.0),
        ("B-x E-x O O", "E-x E-x O O", 0.0),  # E- ends an entity even of one word
        ("E-x O O E-x", "S-x O O I-x", 1.0),
        ("B-x E-x I-x O", "B-x E-x B-x O", 1.0),  # behind E- begins another, whatever the prefix
        ("B-x I-x E-x O", "B-x E-x E-x O", 0.0),
        ("B-x I-y-z E-x O", "S-x S-y-z S-x O", 1.0),
    ],
)
def test_span_f1_of_malformed_sentences_with_ends(truth: str, guess: str, expected: float) -> None:
    true_rows, found_rows = ([[BIOES.index(tag) for tag in tags.split()]] for tags in (truth, guess))
    assert span_f1(true_rows, found_rows, BIOES) == pytest.approx(expected)
    assert oracle(true_rows, found_rows, BIOES) == pytest.approx(expected)


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


@settings(max_examples=100)
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

    def score(rows: np.ndarray) -> dict[str, float]:
        return values(metrics.tagging([truth[row] for row in rows], [guess[row] for row in rows], BIO, IGNORED))

    expected = resampled_errors(score, len(truth), draw)
    assert {name: score.se for name, score in scores.items()} == pytest.approx(expected, rel=0.2)


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
