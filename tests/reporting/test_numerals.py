"""Numbers are read whatever their form, and written so that a column of them lines up."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.reporting import numerals
from motet.reporting.plain import Score, headline_score, number, scores_by_task, text, whole

NOTHING: list[object] = [None, math.nan, math.inf, -math.inf, "0.5", True, [], {}]
WRITERS = [
    numerals.amount,
    numerals.count,
    numerals.duration,
    numerals.percent,
    numerals.score,
    numerals.size,
]


@pytest.mark.parametrize("value", NOTHING)
def test_what_is_not_a_finite_number_is_none(value: object) -> None:
    assert number(value) is None
    assert whole(value) is None


@pytest.mark.parametrize("value", NOTHING)
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_nothing_is_written_as_a_dash(write: object, value: object) -> None:
    assert callable(write)
    assert write(value) == numerals.MISSING


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_writer_lets_a_strange_number_out(value: float) -> None:
    for write in WRITERS:
        assert not re.search(r"nan|inf|e\+|None", write(value).replace("min", ""))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.84312, "0.843"),
        (-0.0001, "0.000"),
        (-0.25, "−0.250"),
        (12.345, "12.35"),
        (1234.5, "1,234.5"),
        (-98_765.4, "−98,765"),
        (999_999.4, "999,999"),
        (1e6, "1.00 × 10⁶"),
        (9.999e6, "1.00 × 10⁷"),
        (-2.5e123, "−2.50 × 10¹²³"),
    ],
)
def test_score(value: float, written: str) -> None:
    assert numerals.score(value) == written


@pytest.mark.parametrize(
    ("found", "written"),
    [
        (None, "–"),
        (Score(), "–"),
        (Score(None, 0.1), "–"),
        (Score(0.5), "0.500"),
        (Score(0.5, 0.0123), "0.500 ± 0.012"),
        (Score(21.37, 0.123), "21.37 ± 0.12"),
        (Score(48_000.0, 512.4), "48,000 ± 512"),
        (Score(3.1e8, 4.5e6), "(3.10 ± 0.04) × 10⁸"),
        (Score(5.0, 2e7), "(0.00 ± 2.00) × 10⁷"),
        (Score(3.1e8), "3.10 × 10⁸"),
    ],
)
def test_score_with_error(found: Score | None, written: str) -> None:
    assert numerals.with_error(found) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (599, "9 min 59 s"),
        (600, "10 min"),
        (3569, "59 min"),
        (3599, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_duration(seconds: float, written: str) -> None:
    assert numerals.duration(seconds) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0, "0"), (1e-4, "0.0001"), (0.25, "0.25"), (5.2, "5.2"), (1234, "1,234"), (-2.0, "−2.0")]
)
def test_amount(value: float, written: str) -> None:
    assert numerals.amount(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(999, "999 bytes"), (62_400, "62.4 kB"), (95_000_000, "95.0 MB"), (7e15, "7,000.0 TB")]
)
def test_size(value: float, written: str) -> None:
    assert numerals.size(value) == written


@pytest.mark.parametrize(("words", "written"), [([], ""), (["a"], "a"), (["a", "b"], "a and b")])
def test_joined(words: list[str], written: str) -> None:
    assert numerals.joined(words) == written


def test_text_of_nothing_is_empty() -> None:
    assert [text(value) for value in (None, math.nan, "", 0, "a")] == ["", "", "", "0", "a"]


def test_scores_are_read_from_whatever_is_there() -> None:
    read = scores_by_task({"a": {"f1": {"value": 0.5, "se": math.nan}, "recall": None}, "b": None})
    assert read == {"a": {"f1": Score(0.5, None), "recall": Score()}, "b": {}}
    assert scores_by_task(None) == {}


def test_headline_score_is_found_by_metric_or_by_value() -> None:
    scores = {"f1": Score(0.5, 0.1), "recall": Score(0.7, 0.2)}
    assert headline_score(scores, "recall", None) == Score(0.7, 0.2)
    assert headline_score(scores, "", 0.5) == Score(0.5, 0.1)
    assert headline_score(scores, "", 0.6) == Score(0.6)
