from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from motet.data.shuffles import LISTED, Cipher, Shuffle

LONG = LISTED + 12345
SURE = 1e-4  # the tests are deterministic: this is how odd a good shuffle may look


def cipher(count: int, seed: int = 0) -> Cipher:
    return Cipher(count, np.random.default_rng(seed))


@given(st.integers(1, 700), st.integers(0, 20))
def test_a_cipher_gives_every_number_once(count: int, seed: int) -> None:
    assert sorted(cipher(count, seed).at(np.arange(count)).tolist()) == list(range(count))


@pytest.mark.parametrize("count", [LISTED, LISTED + 1, LONG, 4 * LISTED - 1, 4 * LISTED + 1])
def test_a_long_shuffle_gives_every_number_once(count: int) -> None:
    found = Shuffle(count, 3, 1).at(np.arange(count))
    assert found.dtype == np.int64
    assert (np.bincount(found, minlength=count) == 1).all()
    assert found[:5].tolist() != [0, 1, 2, 3, 4]


def test_a_short_shuffle_is_that_of_numpy() -> None:
    for seed, epoch in ((0, 0), (7, 3)):
        order = np.random.default_rng([seed, 2, epoch]).permutation(1000)
        assert Shuffle(1000, seed, epoch).at(np.arange(1000)).tolist() == order.tolist()
    assert Shuffle(1000, 7, 3).at(np.asarray([9, 9, 0])).tolist() == order[[9, 9, 0]].tolist()


@pytest.mark.parametrize("count", [5, LONG, 10**8 + 7, 2**40 + 1])
def test_any_number_of_rows_in_next_to_no_memory(count: int) -> None:
    tracemalloc.start()
    try:
        shuffle = Shuffle(count, 0, 0)
        found = shuffle.at(np.linspace(0, count - 1, min(count, 50_000), dtype=np.int64))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert len(np.unique(found)) == min(count, 50_000)
    assert 0 <= found.min() <= found.max() < count


def test_places_may_be_asked_for_in_any_portions() -> None:
    shuffle = Shuffle(LONG, 5, 0)
    whole = shuffle.at(np.arange(4000))
    assert np.concatenate([shuffle.at(np.arange(a, a + 500)) for a in range(0, 4000, 500)]).tolist() == whole.tolist()
    assert shuffle.at(np.arange(4000)[::-1]).tolist() == whole[::-1].tolist()
    assert shuffle.at(np.zeros(0, dtype=np.int64)).tolist() == []


def test_seeds_and_epochs_give_orders_of_their_own() -> None:
    first, again, *others = (Shuffle(LONG, *of).at(np.arange(99)) for of in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert first.tolist() == again.tolist()
    for other in others:
        assert (first == other).mean() < 0.05


@pytest.mark.parametrize("count", [16, 100, 1025, LONG])
@pytest.mark.parametrize("place", [0, 7])
def test_any_number_may_come_first(count: int, place: int) -> None:
    """A place holds every number equally often, over many seeds."""
    bins = min(count, 25)
    found = [int(cipher(count, seed).at(np.asarray([place]))[0]) * bins // count for seed in range(5000)]
    size = np.bincount(np.arange(count) * bins // count, minlength=bins)
    assert chisquare(np.bincount(found, minlength=bins), 5000 * size / count).pvalue > SURE


@pytest.mark.parametrize("apart", [1, 2, 1024])
def test_neighbours_tell_nothing_of_one_another(apart: int) -> None:
    found = Shuffle(LONG, 11, 2).at(np.arange(400_000)) * 24 // LONG
    table = np.zeros((24, 24))
    np.add.at(table, (found[:-apart], found[apart:]), 1)
    assert chi2_contingency(table).pvalue > SURE


def test_a_place_tells_nothing_of_its_number() -> None:
    places = np.arange(LONG)
    table = np.zeros((32, 32))
    np.add.at(table, (places * 32 // LONG, Shuffle(LONG, 4, 0).at(places) * 32 // LONG), 1)
    assert chi2_contingency(table).pvalue > SURE
    low = np.zeros((32, 32))
    np.add.at(low, (places % 32, Shuffle(LONG, 4, 0).at(places) % 32), 1)
    assert chi2_contingency(low).pvalue > SURE
