from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import RecipeError
from motet.sampling.base import Sampler
from motet.sampling.proportional import Proportional
from motet.sampling.temperature import Temperature
from motet.sampling.uniform import Uniform

SIZES = st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 10**7), min_size=1, max_size=8)
TEMPERATURES = st.floats(0.2, 1e6) | st.just(math.inf)
SAMPLERS = st.just(Uniform()) | st.just(Proportional()) | TEMPERATURES.map(lambda t: Temperature(temperature=t))


@given(SAMPLERS, SIZES)
def test_shares_sum_to_one(sampler: Sampler, sizes: dict[str, int]) -> None:
    shares = sampler.shares(sizes)
    assert list(shares) == list(sizes)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0


@given(SAMPLERS, SIZES)
def test_a_larger_set_never_gets_less(sampler: Sampler, sizes: dict[str, int]) -> None:
    shares = sampler.shares(sizes)
    ordered = [shares[name] for name in sorted(sizes, key=sizes.__getitem__)]
    assert all(left <= right * (1 + 1e-9) for left, right in pairwise(ordered))


@given(SIZES)
def test_the_ends_of_the_temperature(sizes: dict[str, int]) -> None:
    assert Temperature(temperature=1).shares(sizes) == pytest.approx(Proportional().shares(sizes))
    assert Temperature(temperature=math.inf).shares(sizes) == pytest.approx(Uniform().shares(sizes))


@given(st.floats(0.5, 20), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_closed_form(temperature: float, left: int, right: int) -> None:
    shares = Temperature(temperature=temperature).shares({"a": left, "b": right})
    assert shares["a"] / shares["b"] == pytest.approx((left / right) ** (1 / temperature), rel=1e-9)


def test_known_values() -> None:
    sizes = {"a": 1, "b": 16, "c": 64}
    assert Proportional().shares(sizes) == pytest.approx({"a": 1 / 81, "b": 16 / 81, "c": 64 / 81})
    assert Temperature().shares(sizes) == pytest.approx({"a": 1 / 13, "b": 4 / 13, "c": 8 / 13})
    assert Uniform().shares(sizes) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_temperatures_are_positive(temperature: float) -> None:
    with pytest.raises(RecipeError, match="must be positive"):
        Temperature(temperature=temperature)
