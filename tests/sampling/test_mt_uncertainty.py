"""Which rows of a pool are kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sampling.mixing import START

from motet.sampling.base import Supply
from motet.sampling.mt_uncertainty import MTUncertainty

STREAMS = {
    "a": Supply(100, ("a",), classes={"a": 2}),
    "b": Supply(10, ("b",), classes={"b": 16}),
    "c+d": Supply(50, ("c", "d"), classes={"c": 4, "d": 2}),
}
LOG = math.log(2)


def mixing(**options: Any) -> Any:
    return MTUncertainty(**options).build(STREAMS, 0)


def test_the_pool_is_drawn_equally_and_is_as_large_as_in_the_paper() -> None:
    assert mixing().shares(START) == {"a": 1 / 3, "b": 1 / 3, "c+d": 1 / 3}
    assert (mixing().pool, mixing(pool=7).pool) == (3, 7)
    assert MTUncertainty().build({"a": STREAMS["a"]}, 0).pool == 1, "with one set there is nothing to choose"


# Means over the pool are 0.4, 1.2 and 0.5: the largest is that of b.
ENTROPIES = {
    "a": {"a": LOG * np.array([0.2, 0.9, 0.1])},
    "b": {"b": LOG * np.array([2.8, 0.4, 0.4])},
}


@pytest.mark.parametrize("count", range(1, 7))
def test_ranks_by_hand(count: int) -> None:
    kept = mixing().keep(ENTROPIES, count)
    order = [(0.9, "a", 1), (0.7, "b", 0), (0.2, "a", 0), (0.1, "a", 2), (0.1, "b", 1), (0.1, "b", 2)]
    expected: dict[str, list[int]] = {"a": [], "b": []}
    for _, name, row in order[:count]:
        expected[name].append(row)
    assert {name: rows.tolist() for name, rows in kept.items()} == {n: sorted(rows) for n, rows in expected.items()}


def test_the_form_of_the_program_favours_tasks_that_are_uncertain() -> None:
    # a is worth 0.4 / 1.2 of what it was: 0.3, 0.067 and 0.033 beside 0.7, 0.1 and 0.1
    kept = mixing(form="code").keep(ENTROPIES, 4)
    assert {name: rows.tolist() for name, rows in kept.items()} == {"a": [1], "b": [0, 1, 2]}


def test_a_row_of_several_tasks_has_the_mean_of_those_that_label_it() -> None:
    nan = math.nan
    shared = {"c": 2 * LOG * np.array([0.2, 0.6, nan, nan]), "d": LOG * np.array([0.8, nan, 0.55, nan])}
    # 0.5, 0.6, 0.55 and nothing
    kept = mixing().keep({"a": {"a": LOG * np.array([0.52])}, "c+d": shared}, 3)
    assert {name: rows.tolist() for name, rows in kept.items()} == {"a": [0], "c+d": [1, 2]}
    assert mixing().keep({"c+d": shared}, 3)["c+d"].tolist() == [0, 1, 2]


def test_a_model_that_is_sure_of_everything_keeps_the_first_rows() -> None:
    for form in ("paper", "code"):
        kept = mixing(form=form).keep({"a": {"a": np.zeros(2)}, "b": {"b": np.zeros(3)}}, 3)
        assert {name: rows.tolist() for name, rows in kept.items()} == {"a": [0, 1], "b": [0]}


@given(st.lists(st.floats(0, LOG), min_size=1, max_size=8), st.lists(st.floats(0, 4 * LOG), max_size=8), st.data())
def test_so_many_are_kept_and_none_left_out_is_less_sure(
    of_a: list[float], of_b: list[float], data: st.DataObject
) -> None:
    entropies = {"a": {"a": np.array(of_a)}} | ({"b": {"b": np.array(of_b)}} if of_b else {})
    count = data.draw(st.integers(1, len(of_a) + len(of_b)))
    kept = mixing().keep(entropies, count)
    assert sum(map(len, kept.values())) == count
    ranks = {"a": np.array(of_a) / LOG, "b": np.array(of_b) / (4 * LOG)}
    inside = [ranks[name][rows] for name, rows in kept.items()]
    outside = [np.delete(ranks[name], rows) for name, rows in kept.items()]
    assert np.concatenate(outside).max(initial=0) <= np.concatenate(inside).min() + 1e-12
