"""What all samplers have in common, and the closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from tests.sampling.mixing import START, again, drawn, mixing_of, supplies

from motet import registry
from motet.errors import RecipeError
from motet.sampling.annealed import Annealed
from motet.sampling.base import Epoch, Sampler, Supply
from motet.sampling.boltzmann import BoltzmannBandit
from motet.sampling.capped import SizeCapped
from motet.sampling.dynamic import DynamicSampling
from motet.sampling.fixed import FixedRatio
from motet.sampling.formulas import BySize
from motet.sampling.linear_warmup import TemperatureWarmup
from motet.sampling.multidds import MultiDDS
from motet.sampling.proportional import Proportional
from motet.sampling.round_robin import RoundRobin
from motet.sampling.temperature import Temperature
from motet.sampling.thompson import ThompsonBandit
from motet.sampling.uniform import Uniform

NAMES = ("ant", "bee", "cat", "dog")
SIZES = st.lists(st.integers(1, 10**9), min_size=1, max_size=4).map(lambda sizes: dict(zip(NAMES, sizes, strict=False)))
TEMPERATURES = st.floats(0.2, 1e6) | st.just(math.inf)
EPOCHS = st.tuples(st.floats(0, 50), st.floats(0, 50)).map(lambda e: Epoch(1 + e[0], 1 + e[1]))
BY_SIZE = (
    st.just(Uniform())
    | st.just(Proportional())
    | TEMPERATURES.map(lambda t: Temperature(temperature=t))
    | st.builds(SizeCapped, cap=st.integers(1, 10**9), temperature=TEMPERATURES)
)
RATIO = {name: 1.0 + at for at, name in enumerate(NAMES)}
GIVEN: dict[str, Any] = {
    "dynamic": DynamicSampling(references=dict.fromkeys(NAMES, 0.9)),
    "fixed": FixedRatio(ratio=RATIO),
}


def every_sampler() -> dict[str, Sampler]:
    return {name: GIVEN[name] if name in GIVEN else registry.find("sampler", name)() for name in SAMPLERS}


SAMPLERS = registry.names("sampler")
SCORES = {"ant": 0.4, "bee": 0.5, "cat": 0.8, "dog": 0.85}


def experienced(name: str, sizes: Mapping[str, int], seed: int = 0) -> Any:
    """A mixing that has seen something of the run."""
    mixing = every_sampler()[name].build(supplies(sizes), seed)
    for step in range(4):
        drawn(mixing, 3)
        mixing.pulled({stream: SCORES[stream] for stream in sizes})
        mixing.observe({task: score + 0.01 * step for task, score in SCORES.items()})
    if mixing.every:
        mixing.reward({stream: 1 - SCORES[stream] for stream in sizes})
    return mixing


@settings(max_examples=25)
@pytest.mark.parametrize("name", SAMPLERS)
@given(sizes=SIZES, epoch=EPOCHS)
def test_shares_are_one_for_each_stream_and_sum_to_one(name: str, sizes: dict[str, int], epoch: Epoch) -> None:
    for mixing in (every_sampler()[name].build(supplies(sizes), 0), experienced(name, sizes)):
        shares = mixing.shares(epoch)
        assert list(shares) == list(sizes)
        assert sum(shares.values()) == pytest.approx(1, abs=1e-9)
        assert min(shares.values()) >= 0


@settings(max_examples=25)
@pytest.mark.parametrize("name", SAMPLERS)
@given(sizes=SIZES, order=st.permutations(NAMES))
def test_the_order_of_streams_does_not_matter(name: str, sizes: dict[str, int], order: list[str]) -> None:
    other = {stream: sizes[stream] for stream in order if stream in sizes}
    primaries = {"boltzmann": BoltzmannBandit(primary="ant"), "thompson": ThompsonBandit(primary="ant")}
    recipe = primaries.get(name, every_sampler()[name])
    found = []
    for some in (sizes, other):
        mixing = recipe.build(supplies(some), 0)
        for score in (0.5, 0.6):
            mixing.pulled({stream: SCORES[stream] for stream in some})
            mixing.observe({**SCORES, "ant": score})
        if mixing.every:
            mixing.reward({stream: SCORES[stream] for stream in some})
        found.append(mixing.shares(START))
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_restored_mixing_goes_on_exactly(name: str) -> None:
    sizes = {"ant": 5, "bee": 50, "cat": 500}
    before = experienced(name, sizes)
    after = again(before, every_sampler()[name].build(supplies(sizes), 0))
    for mixing in (before, after):
        mixing.pulled({"bee": 1.0})
        mixing.observe({"ant": 0.1, "bee": 0.9, "cat": 0.2})
        if mixing.every:
            mixing.reward({"bee": 0.5, "cat": -0.1})
    assert after.shares(START) == before.shares(START)
    names = list(sizes)
    picks = [[mixing.pick(names, mixing.shares(START)) for _ in range(20)] for mixing in (before, after)]
    assert picks[0] == picks[1]
    assert after.state() == before.state()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_seed_is_that_of_the_run(name: str) -> None:
    sizes = {"ant": 9, "bee": 11, "cat": 10}
    runs = [experienced(name, sizes, seed) for seed in (0, 0, 1)]
    one, same, other = ([mixing.pick(list(sizes), mixing.shares(START)) for _ in range(30)] for mixing in runs)
    assert one == same
    assert (one == other) == (name == "round_robin")


ALL = ["ant", "bee", "cat"]


@pytest.mark.parametrize(
    ("sampler", "candidates", "count"),
    [
        (Temperature(temperature=3), ALL, 100_000),
        (BoltzmannBandit(temperature=0.3), ALL, 100_000),
        (ThompsonBandit(), ALL, 100_000),
        (FixedRatio(ratio={"ant": 1, "bee": 2, "cat": 0}), ALL, 10_000),
        (Temperature(temperature=3), ["bee", "cat"], 10_000),
        (ThompsonBandit(), ["bee", "cat"], 10_000),
    ],
)
def test_picks_follow_the_shares(sampler: Sampler, candidates: list[str], count: int) -> None:
    mixing = mixing_of(sampler, seed=5, ant=10, bee=100, cat=1000)
    for score in (0.5, 0.6, 0.4):
        mixing.pulled({"bee": 0.7, "cat": 0.3})
        mixing.observe({"ant": score})
    drawn(mixing, 1)  # Thompson sampling begins with the primary task
    shares = mixing.shares(START)
    if isinstance(sampler, ThompsonBandit) and len(candidates) < 3:  # the best of those, not the best of all of them
        beliefs = {name: belief for name, belief in mixing.state()["beliefs"].items() if name in candidates}
        only = mixing_of(sampler, **dict.fromkeys(candidates, 1))
        only.restore({**mixing.state(), "beliefs": beliefs})
        shares = only.shares(START)
    found = drawn(mixing, count, candidates)
    likely = [name for name in candidates if shares[name]]
    expected = [count * shares[name] / sum(shares[other] for other in likely) for name in likely]
    assert set(found) == set(likely)
    assert chisquare([found[name] for name in likely], expected).pvalue > 1e-3


def test_streams_without_a_share_are_picked_where_there_are_no_others() -> None:
    mixing = mixing_of(FixedRatio(ratio={"ant": 1, "bee": 0, "cat": 0}), ant=1, bee=1, cat=1)
    assert set(drawn(mixing, 50, ["bee", "cat"])) == {"bee", "cat"}


def test_round_robin_is_a_fixed_cycle() -> None:
    mixing = mixing_of(RoundRobin(), ant=1, bee=9, cat=5)

    def turns(names: list[str], count: int) -> list[str]:
        return [mixing.pick(names, mixing.shares(START)) for _ in range(count)]

    assert turns(ALL, 5) == ["ant", "bee", "cat", "ant", "bee"]
    assert turns(["ant", "bee"], 3) == ["ant", "bee", "ant"], "cat is closed and passed over"
    assert turns(ALL, 2) == ["bee", "cat"]


# Closed forms


@given(BY_SIZE, SIZES)
def test_a_larger_set_never_gets_less(sampler: BySize, sizes: dict[str, int]) -> None:
    shares = sampler.shares(sizes)
    ordered = [shares[name] for name in sorted(sizes, key=sizes.__getitem__)]
    assert all(left <= right * (1 + 1e-9) for left, right in pairwise(ordered))


@given(SIZES)
def test_the_ends_of_the_temperature(sizes: dict[str, int]) -> None:
    assert Temperature(temperature=1).shares(sizes) == pytest.approx(Proportional().shares(sizes))
    assert Temperature(temperature=math.inf).shares(sizes) == pytest.approx(Uniform().shares(sizes))


def powers(sizes: Mapping[str, float], exponent: float) -> dict[str, float]:
    """Shares straight from the general formula."""
    total = sum(size**exponent for size in sizes.values())
    return {name: size**exponent / total for name, size in sizes.items()}


@given(st.floats(0.5, 20), SIZES)
def test_temperature_is_its_formula(temperature: float, sizes: dict[str, int]) -> None:
    expected = powers(sizes, 1 / temperature)
    assert Temperature(temperature=temperature).shares(sizes) == pytest.approx(expected, rel=1e-9)


@given(st.integers(1, 10**9), st.floats(0.5, 20), SIZES)
def test_a_cap_is_its_formula(cap: int, temperature: float, sizes: dict[str, int]) -> None:
    expected = powers({name: min(size, cap) for name, size in sizes.items()}, 1 / temperature)
    assert SizeCapped(cap=cap, temperature=temperature).shares(sizes) == pytest.approx(expected, rel=1e-9)


@given(SIZES)
def test_the_ends_of_a_cap(sizes: dict[str, int]) -> None:
    assert SizeCapped(cap=10**9).shares(sizes) == pytest.approx(Proportional().shares(sizes))
    assert SizeCapped(cap=min(sizes.values())).shares(sizes) == pytest.approx(Uniform().shares(sizes))


@given(st.integers(2, 30), st.data(), SIZES)
def test_annealing_is_its_formula(last: int, data: st.DataObject, sizes: dict[str, int]) -> None:
    now = data.draw(st.integers(1, last))
    expected = powers(sizes, 1 - 0.8 * (now - 1) / (last - 1))
    assert Annealed().shares(sizes, Epoch(now, last)) == pytest.approx(expected, rel=1e-9)


@given(SIZES)
def test_the_ends_of_annealing(sizes: dict[str, int]) -> None:
    assert Annealed().shares(sizes, Epoch(1, 7)) == pytest.approx(Proportional().shares(sizes))
    assert Annealed().shares(sizes, Epoch(7, 7)) == pytest.approx(Temperature(temperature=5).shares(sizes))
    assert Annealed().shares(sizes, Epoch(9, 7)) == Annealed().shares(sizes, Epoch(7, 7)), "E was an estimate"
    assert Annealed().shares(sizes, Epoch(1, 1)) == pytest.approx(Proportional().shares(sizes))


@pytest.mark.parametrize(("now", "expected"), [(1, 1), (2, 1.8), (3.5, 3), (6, 5), (40, 5)])
def test_the_temperature_warms_up(now: float, expected: float) -> None:
    sizes = {"a": 3, "b": 300}
    sampler = TemperatureWarmup(start=1, highest=5, warmup=5)
    assert sampler.shares(sizes, Epoch(now, 50)) == pytest.approx(powers(sizes, 1 / expected))


def test_known_values() -> None:
    sizes = {"a": 1, "b": 16, "c": 64}
    assert Proportional().shares(sizes) == pytest.approx({"a": 1 / 81, "b": 16 / 81, "c": 64 / 81})
    assert Temperature().shares(sizes) == pytest.approx({"a": 1 / 13, "b": 4 / 13, "c": 8 / 13})
    assert Uniform().shares(sizes) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def test_a_ratio_is_kept() -> None:
    mixing = FixedRatio(ratio={"a": 3, "b": 1, "c": 2}).build(supplies({"a+b": 7, "c": 9999}), 0)
    assert mixing.shares(START) == {"a+b": 0.5, "c": 0.5}, "the mean of 3 and 1 beside 2"


# Dynamic sampling


def test_dynamic_shares_by_hand() -> None:
    sampler = DynamicSampling(references={"a": 0.9, "b": 0.9, "c": 2.0, "d": 0.5}, floor=0.05)
    streams = {**supplies({"a+b": 10, "d": 20}), "c": Supply(30, ("c",), falling=frozenset("c"))}
    mixing = sampler.build(streams, 0)
    assert mixing.shares(START) == pytest.approx({"a+b": 1 / 6, "d": 2 / 6, "c": 3 / 6}), "sizes, before any check"
    mixing.observe({"a": 0.5, "b": 0.7, "c": 2.2, "d": math.nan})
    assert mixing.shares(START)["c"] == 0.5, "a task has no score yet"
    mixing.observe({"a": 0.5, "b": 0.7, "c": 2.2, "d": 0.6})
    gaps = {"a+b": (0.4 + 0.2) / 2, "d": 0.05, "c": 0.2}
    expected = {name: gap / sum(gaps.values()) for name, gap in gaps.items()}
    assert mixing.shares(START) == pytest.approx(expected)
    mixing.observe({"a": math.inf, "b": 0.7, "c": math.nan, "d": 0.6})
    assert mixing.shares(START) == pytest.approx(expected), "scores that are not finite are not heard"


def test_relative_gaps_compare_units() -> None:
    sampler = DynamicSampling(references={"a": 0.8, "b": 50.0}, relative=True)
    mixing = sampler.build({**supplies({"a": 1}), "b": Supply(1, ("b",), falling=frozenset("b"))}, 0)
    mixing.observe({"a": 0.6, "b": 75.0})
    assert mixing.shares(START) == pytest.approx({"a": 1 / 3, "b": 2 / 3})


# Options


@pytest.mark.parametrize(
    ("sampler", "options", "names"),
    [
        (Temperature, {"temperature": 0}, ["temperature"]),
        (Temperature, {"temperature": -1}, ["temperature"]),
        (Temperature, {"temperature": math.nan}, ["temperature"]),
        (SizeCapped, {"cap": 0, "temperature": 0}, ["cap", "temperature"]),
        (Annealed, {"drop": 1.5}, ["drop"]),
        (TemperatureWarmup, {"start": 0, "warmup": -1}, ["start", "warmup"]),
        (TemperatureWarmup, {"start": 3, "highest": 2}, ["highest"]),
        (FixedRatio, {"ratio": {"a": -1, "b": math.nan, "c": 1}}, ["ratio.a", "ratio.b"]),
        (FixedRatio, {"ratio": {"a": 0, "b": 0}}, ["ratio"]),
        (FixedRatio, {"ratio": {}}, ["ratio"]),
        (DynamicSampling, {"references": {"a": math.nan}, "floor": 0}, ["floor", "references.a"]),
        (DynamicSampling, {"references": {"a": 0, "b": 1}, "relative": True}, ["references.a"]),
        (BoltzmannBandit, {"temperature": 0, "rate": 0, "start": math.inf}, ["temperature", "rate", "start"]),
        (ThompsonBandit, {"prior": 0, "decay": 2}, ["prior", "decay"]),
        (MultiDDS, {"every": 0, "updates": 0, "rate": 0, "pace": 0}, ["every", "updates", "rate", "pace"]),
        (registry.find("sampler", "mt_uncertainty"), {"pool": 1}, ["pool"]),
        (registry.find("sampler", "mt_uncertainty"), {"form": "both"}, ["form"]),
    ],
)
def test_options_are_checked(sampler: Any, options: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        sampler(**options)
    assert [problem.name for problem in caught.value.problems] == names


def test_only_those_that_ask_are_told() -> None:
    mixing = mixing_of(Uniform(), a=1)
    with pytest.raises(TypeError, match="asks for no rewards"):
        mixing.reward({"a": 1})
    with pytest.raises(TypeError, match="keeps all rows"):
        mixing.keep({}, 1)
