"""Bandits and learned shares, followed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta
from tests.sampling.mixing import START, drawn, mixing_of, supplies

from motet.sampling.base import Supply
from motet.sampling.boltzmann import BoltzmannBandit
from motet.sampling.multidds import MultiDDS
from motet.sampling.thompson import ThompsonBandit


def round_of(mixing: Any, pulls: dict[str, float], score: float, task: str = "a") -> None:
    mixing.pulled(pulls)
    mixing.observe({task: score, "else": 1.0})


# Boltzmann


def test_one_pull_a_check_is_the_rule_of_the_paper() -> None:
    mixing = mixing_of(BoltzmannBandit(rate=0.25, temperature=0.5, start=2.0), a=1, b=1, c=1)
    values = {"a": 2.0, "b": 2.0, "c": 2.0}
    for arm, score in (("b", 0.4), ("c", 0.6), ("b", 0.8), ("a", -0.2)):
        round_of(mixing, {arm: 1.0}, score)
        values[arm] = 0.75 * values[arm] + 0.25 * score
    assert mixing.state()["values"] == pytest.approx(values)
    powers = {name: math.exp(value / 0.5) for name, value in values.items()}
    assert mixing.shares(START) == pytest.approx({name: p / sum(powers.values()) for name, p in powers.items()})


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=10))
def test_values_are_the_unrolled_sum(scores: list[float]) -> None:
    mixing = mixing_of(BoltzmannBandit(rate=0.3, start=1.0), a=1, b=1)
    for score in scores:
        round_of(mixing, {"b": 1.0}, score)
    count = len(scores)
    unrolled = 0.7**count + sum(0.3 * 0.7 ** (count - k) * score for k, score in enumerate(scores, start=1))
    assert mixing.state()["values"] == pytest.approx({"a": 1.0, "b": unrolled}, abs=1e-12)


def test_several_pulls_answer_in_part() -> None:
    mixing = mixing_of(BoltzmannBandit(rate=0.5), a=1, b=1)
    for _ in range(3):
        mixing.pulled({"a": 1.0})
    round_of(mixing, {"b": 1.0}, 0.0)
    assert mixing.state()["values"] == pytest.approx({"a": 0.5**0.75, "b": 0.5**0.25})
    shared = mixing_of(BoltzmannBandit(rate=0.5), a=1, b=1)
    for _ in range(40):
        shared.pulled({"a": 0.75, "b": 0.25})
    round_of(shared, {}, 0.0)
    assert shared.state()["values"] == pytest.approx(mixing.state()["values"]), "mixed batches pull by shares"


@pytest.mark.parametrize("sampler", [BoltzmannBandit(primary="c"), ThompsonBandit(primary="c")])
def test_scores_that_fall_are_turned_over(sampler: Any) -> None:
    rising = sampler.build(supplies({"a": 1, "b+c": 1}), 0)
    falling = sampler.build({**supplies({"a": 1}), "b+c": Supply(1, ("b", "c"), falling=frozenset("c"))}, 0)
    for score in (0.1, 0.3, 0.2):
        round_of(rising, {"a": 1.0}, score, task="c")
        round_of(falling, {"a": 1.0}, -score, task="c")
    assert falling.shares(START) == rising.shares(START)


@pytest.mark.parametrize("sampler", [BoltzmannBandit(), ThompsonBandit()])
def test_pulls_wait_for_a_finite_score(sampler: Any) -> None:
    mixing = mixing_of(sampler, a=1, b=1)
    before = mixing.shares(START)
    round_of(mixing, {"b": 1.0}, math.nan)
    mixing.observe({"b": 0.5})
    assert mixing.shares(START) == before
    assert mixing.state()["pulls"] == {"a": 0.0, "b": 1.0}
    round_of(mixing, {"a": 1.0}, 0.5)
    assert mixing.state()["pulls"] == {"a": 0.0, "b": 0.0}


def test_no_pulls_teach_nothing() -> None:
    mixing = mixing_of(BoltzmannBandit(), a=1, b=1)
    mixing.observe({"a": 0.5})
    assert mixing.state()["values"] == {"a": 1.0, "b": 1.0}


# Thompson


def test_beliefs_by_hand() -> None:
    mixing = mixing_of(ThompsonBandit(decay=0.3), a=1, b=1)
    round_of(mixing, {"a": 1.0}, 0.5)
    assert mixing.state()["beliefs"] == {"a": [1, 1], "b": [1, 1]}, "nothing to compare the first score with"
    round_of(mixing, {"b": 1.0}, 0.5)
    assert mixing.state()["beliefs"] == {"a": [1, 1], "b": [2, 1]}, "not worse is good"
    round_of(mixing, {"a": 1.0}, 0.4)
    assert mixing.state()["beliefs"] == {"a": [1, 2], "b": [pytest.approx(1.7), 1]}
    round_of(mixing, {"a": 0.25, "b": 0.75}, 0.45)
    expected = {"a": [pytest.approx(1.25), pytest.approx(1.7)], "b": [pytest.approx(0.7 * 1.7 + 0.3 + 0.75), 1]}
    assert mixing.state()["beliefs"] == expected


@given(st.lists(st.tuples(st.floats(0.5, 60), st.floats(0.5, 60)), min_size=2, max_size=4))
def test_chances_to_be_the_best(beliefs: list[tuple[float, float]]) -> None:
    names = "abcd"[: len(beliefs)]
    mixing = mixing_of(ThompsonBandit(), **dict.fromkeys(names, 1))
    mixing.restore({**mixing.state(), "beliefs": dict(zip(names, map(list, beliefs), strict=True))})
    ranks = (np.arange(4000) + 0.5) / 4000
    values = beta(*beliefs[0]).ppf(ranks)
    all_others_lower = np.prod([beta(*belief).cdf(values) for belief in beliefs[1:]], axis=0)
    assert mixing.shares(START)["a"] == pytest.approx(all_others_lower.mean(), abs=1e-3)


def test_the_first_pick_is_the_primary_task() -> None:
    for seed in range(8):
        mixing = mixing_of(ThompsonBandit(primary="b"), seed, a=1, b=1, c=1)
        assert set(drawn(mixing, 1)) == {"b"}
        assert set(drawn(mixing, 40)) == {"a", "b", "c"}


# MultiDDS


def test_shares_begin_with_sizes() -> None:
    mixing = mixing_of(MultiDDS(), a=100, b=300)
    assert mixing.shares(START) == pytest.approx({"a": 0.25, "b": 0.75})
    assert (mixing.every, mixing.pace) == (100, 1e-3)


def test_shares_are_learned_as_torch_would() -> None:
    mixing = mixing_of(MultiDDS(updates=30, rate=0.01), a=10, b=70, c=20)
    psi = torch.tensor([0.1, 0.7, 0.2], dtype=torch.float64).log().requires_grad_()
    adam = torch.optim.Adam([psi], lr=0.01)
    for rewards in ({"a": 0.9, "b": -0.2, "c": 0.1}, {"a": 0.1, "b": 0.3, "c": -0.9}):
        mixing.reward(rewards)
        given = torch.tensor(list(rewards.values()), dtype=torch.float64)
        for _ in range(30):
            adam.zero_grad()
            (-(given * psi.log_softmax(0)).sum()).backward()  # type: ignore[no-untyped-call]
            adam.step()
        assert list(mixing.shares(START).values()) == pytest.approx(psi.softmax(0).tolist(), rel=1e-9)


def test_closed_streams_stay_where_they_are() -> None:
    mixing = mixing_of(MultiDDS(updates=10, rate=0.1), a=10, b=70, c=20)
    before = mixing.state()
    mixing.reward({"c": 0.5, "a": -0.5})
    after = mixing.state()
    assert after["psi"][1] == before["psi"][1]
    assert after["psi"][2] > before["psi"][2]
    assert after["psi"][0] < before["psi"][0]
    assert after["adam"]["steps"] == [10, 0, 10]


def test_one_stream_alone_has_nothing_to_learn() -> None:
    mixing = mixing_of(MultiDDS(), a=10, b=70)
    mixing.reward({"b": 0.7})
    assert mixing.shares(START) == pytest.approx({"a": 0.125, "b": 0.875})
