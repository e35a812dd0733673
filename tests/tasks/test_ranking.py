"""What a ranking scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import DataError, RecipeError
from motet.tasks.base import Answers
from motet.tasks.ranking import Ranking

TASK = Ranking("order", source="rows", highest=7.0)


@given(grades=st.lists(st.integers(0, 7), min_size=2, max_size=8), relevant=st.integers(1, 7))
def test_a_grade_counts_from_the_one_that_is_said(grades: list[int], relevant: int) -> None:
    targets = [np.asarray([grade / 7], dtype=np.float32) for grade in grades]  # as a token table keeps them
    scores = -np.arange(len(grades), dtype=float)[:, None]
    answers = Answers(scores, np.ones(len(grades), dtype=int), np.zeros(len(grades), dtype=int))
    found = replace(TASK, relevant=float(relevant)).score(answers, targets)["mrr"].value
    first = next((rank for rank, grade in enumerate(grades, start=1) if grade >= relevant), None)
    assert found == pytest.approx(1 / first if first else 0.0)


def test_a_grade_that_nothing_reaches_is_told() -> None:
    with pytest.raises(DataError, match="above the highest relevance"):
        Ranking("order", source="rows", relevant=3.0).resolve([0.0, 1.0, 2.0])
    with pytest.raises(RecipeError, match="must be 0 or a number above"):
        Ranking("order", source="rows", relevant=-1.0)
