"""Every test against scipy, a closed form or a simulation: it must agree, be silent without an effect, and find one."""

from __future__ import annotations

import itertools
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from motet.significance import (
    cohens_dz,
    hedges_g,
    holm,
    mean_of,
    mean_of_relative_gains,
    mean_ranks,
    over_seeds,
    paired_bootstrap,
    paired_permutation,
    relative_gain_of_mean,
    win_tie_loss,
)

SCORES = st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=3, max_size=12)
PAIRS = SCORES.flatmap(
    lambda one: st.tuples(st.just(one), st.lists(st.floats(0, 1), min_size=len(one), max_size=len(one)))
)


def pair(seed: int, examples: int, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong answers of two systems that agree more often than not."""
    random = np.random.default_rng(seed)
    easy = random.normal(0.6, 1.0, examples)
    return tuple((easy + shift + random.normal(0, 0.7, examples) > 0).astype(float) for shift in (effect, 0.0))  # type: ignore[return-value]


# --- over examples


def test_the_bootstrap_agrees_with_scipy() -> None:
    ours, theirs = pair(1, 400, 0.4)
    found = paired_bootstrap(mean_of(ours), mean_of(theirs), 400, draws=8000)
    wanted = stats.bootstrap(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), paired=True, vectorized=True,
        n_resamples=8000, method="percentile", rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    assert found.difference == pytest.approx((ours - theirs).mean())
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.004)


def test_the_bootstrap_of_a_mean_has_the_p_value_of_a_z_test() -> None:
    for seed in range(8):
        ours, theirs = np.random.default_rng(seed).normal([[0.05], [0.0]], 1.0, size=(2, 600))
        found = paired_bootstrap(mean_of(ours), mean_of(theirs), 600, draws=8000, seed=seed)
        difference = ours - theirs
        error = difference.std() / math.sqrt(600)
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(difference.mean()) / error), abs=0.03)


def test_the_bootstrap_takes_scores_that_are_no_mean() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 150))
    z = x + random.normal(size=150)

    def correlation(left: np.ndarray, right: np.ndarray) -> object:
        def of(weights: np.ndarray) -> np.ndarray:
            return np.array([np.corrcoef(np.repeat(left, row.astype(int)), np.repeat(right, row.astype(int)))[0, 1]
                             for row in weights])  # fmt: skip

        return of

    found = paired_bootstrap(correlation(x, z), correlation(x, y), 150, draws=400)  # type: ignore[arg-type]
    assert found.difference == pytest.approx(np.corrcoef(x, z)[0, 1] - np.corrcoef(x, y)[0, 1])
    assert found.p < 0.01
    assert found.low < found.difference < found.high


def test_equal_systems_do_not_differ() -> None:
    ours, _ = pair(0, 50)
    found = paired_bootstrap(mean_of(ours), mean_of(ours), 50)
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert paired_permutation(ours, ours) == 1.0


def test_the_draws_are_the_same_every_time_and_the_systems_may_change_places() -> None:
    ours, theirs = mean_of(pair(3, 80)[0]), mean_of(pair(3, 80)[1])
    found, again, turned = (paired_bootstrap(*sides, 80) for sides in ((ours, theirs), (ours, theirs), (theirs, ours)))
    assert found == again
    assert (turned.difference, turned.low, turned.high, turned.p) == pytest.approx(
        (-found.difference, -found.high, -found.low, found.p)
    )


def test_many_examples_are_drawn_in_blocks() -> None:
    ours, theirs = pair(4, 60_000, 0.02)
    found = paired_bootstrap(mean_of(ours), mean_of(theirs), 60_000, draws=150)
    error = (ours - theirs).std() / math.sqrt(60_000)
    assert (found.high - found.low) / (2 * 1.96 * error) == pytest.approx(1.0, abs=0.2)


def test_false_positives_of_the_bootstrap() -> None:
    draws = 2000
    hits = sum(
        paired_bootstrap(mean_of(ours), mean_of(theirs), 120, draws=400, seed=seed).p < 0.05
        for seed in range(draws)
        for ours, theirs in [np.random.default_rng(seed).normal(size=(2, 120))]
    )
    assert 0.035 <= hits / draws <= 0.065


def test_false_positives_of_the_permutation_test() -> None:
    draws = 2000
    hits = sum(
        paired_permutation(ours, theirs, draws=400, seed=seed) < 0.05
        for seed in range(draws)
        for ours, theirs in [np.random.default_rng(seed).normal(size=(2, 60))]
    )
    assert 0.035 <= hits / draws <= 0.065


def test_false_positives_over_seeds() -> None:
    random = np.random.default_rng(0)
    draws = 2000
    hits = sum((over_seeds(*random.normal(size=(2, 5))).t or 0) < 0.05 for _ in range(draws))
    assert 0.035 <= hits / draws <= 0.065


@pytest.mark.parametrize("examples", [3, 6, 10])
def test_the_permutation_test_is_exact_where_it_can_be(examples: int) -> None:
    ours, theirs = np.random.default_rng(examples).normal(size=(2, examples))
    wanted = stats.permutation_test(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert paired_permutation(ours, theirs) == pytest.approx(wanted)


def test_the_permutation_test_draws_where_exchanges_are_too_many() -> None:
    ours, theirs = pair(2, 300, 0.12)
    wanted = stats.permutation_test(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=10_000, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    assert paired_permutation(ours, theirs) == pytest.approx(wanted, abs=0.015)


def test_the_permutation_test_takes_scores_that_follow_from_sums() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.integers(1, 6, size=(2, 7, 2)).astype(float)

    def ratio(sums: np.ndarray) -> np.ndarray:
        return np.asarray(sums[:, 0] / sums[:, 1])

    def apart(exchanged: tuple[bool, ...]) -> float:
        mask = np.array(exchanged)[:, None]
        one, other = np.where(mask, theirs, ours).sum(axis=0), np.where(mask, ours, theirs).sum(axis=0)
        return abs(float(one[0] / one[1] - other[0] / other[1]))

    all_of_them = [apart(exchanged) for exchanged in itertools.product([False, True], repeat=7)]
    wanted = np.mean([found >= all_of_them[0] - 1e-12 for found in all_of_them])
    assert paired_permutation(ours, theirs, ratio) == pytest.approx(wanted)


# --- over seeds


@given(PAIRS)
def test_seeds_agree_with_scipy(pair: tuple[list[float], list[float]]) -> None:
    ours, theirs = map(np.asarray, pair)
    found = over_seeds(*pair)
    if np.ptp(ours - theirs) <= 1e-9:
        return
    assert found.t == pytest.approx(stats.ttest_rel(ours, theirs).pvalue, abs=1e-6)
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(ours - theirs).pvalue)
    assert found.difference == pytest.approx((ours - theirs).mean())
    assert found.verdict == ""


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_seeds_have_no_p_value(count: int) -> None:
    found = over_seeds([0.9, 0.8][:count], [0.5, 0.6][:count])
    assert (found.t, found.wilcoxon, found.verdict) == (None, None, "too few seeds")
    assert found.seeds == count


def test_differences_that_do_not_vary_have_no_t() -> None:
    assert over_seeds([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]).t == 1.0
    found = over_seeds([0.75, 0.5, 1.0], [0.5, 0.25, 0.75])
    assert (found.t, found.dz, found.verdict) == (None, None, "every seed differs by the same")


def test_wilcoxon_says_nothing_with_five_seeds() -> None:
    assert over_seeds([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5).wilcoxon == pytest.approx(0.0625)
    assert (over_seeds([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0] * 6).wilcoxon or 1) < 0.05


def test_effect_sizes() -> None:
    assert cohens_dz([1.0, 2.0, 3.0]) == 2.0
    for count in (3, 5, 10, 30):
        freedom = count - 1
        values = np.random.default_rng(count).normal(1, 1, count)
        dz, g = cohens_dz(values), hedges_g(values)
        assert dz is not None
        assert g is not None
        assert dz == pytest.approx(stats.ttest_1samp(values, 0).statistic / math.sqrt(count))
        assert g / dz == pytest.approx(1 - 3 / (4 * freedom - 1), rel=0.04)  # the usual approximation
    assert hedges_g([1.0, 2.0]) is None
    assert cohens_dz([1.0]) is None


def test_hedges_g_is_not_biased() -> None:
    random = np.random.default_rng(0)
    found = [(cohens_dz(values), hedges_g(values)) for values in random.normal(0.8, 1.0, size=(4000, 5))]
    assert np.mean([dz for dz, _ in found]) > 0.9
    assert np.mean([g for _, g in found]) == pytest.approx(0.8, abs=0.03)


# --- over tasks


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_step_by_step(p_values: list[float], level: float) -> None:
    corrected = holm(dict(enumerate(p_values)))
    rejected, order = set(), sorted(range(len(p_values)), key=lambda at: p_values[at])
    for before, at in enumerate(order):
        if (len(p_values) - before) * p_values[at] > level:
            break
        rejected.add(at)
    assert {at for at, p in corrected.items() if p is not None and p <= level} == rejected
    assert all((corrected[at] or 0) >= p for at, p in enumerate(p_values))


def test_holm_keeps_the_family_at_its_level() -> None:
    random = np.random.default_rng(0)
    wrong = [min(p or 1 for p in holm(dict(enumerate(random.uniform(size=6)))).values()) < 0.05 for _ in range(2000)]
    assert np.mean(wrong) <= 0.065


def test_what_has_no_p_value_does_not_count() -> None:
    assert holm({"a": 0.02, "b": None, "c": 0.5}) == {"a": 0.04, "b": None, "c": 0.5}
    assert holm({}) == {}


def test_wins_ties_and_losses() -> None:
    assert win_tie_loss([0.1, -0.1, 0.0, 0.3]) == (2, 1, 1)
    assert win_tie_loss([0.1, -0.1, 0.0, 0.3], margin=0.1) == (1, 3, 0)
    assert win_tie_loss([]) == (0, 0, 0)


def test_the_two_conventions_of_relative_gain_differ() -> None:
    base, ours = {"a": 0.8, "b": 0.1}, {"a": 0.76, "b": 0.12}
    assert mean_of_relative_gains(ours, base) == pytest.approx((-0.05 + 0.2) / 2)
    assert relative_gain_of_mean(ours, base) == pytest.approx(-0.02 / 0.9)


def test_less_may_be_better() -> None:
    higher = {"accuracy": True, "rmse": False}
    base, ours = {"accuracy": 0.5, "rmse": 2.0}, {"accuracy": 0.55, "rmse": 1.0}
    assert mean_of_relative_gains(ours, base, higher) == pytest.approx((0.1 + 0.5) / 2)
    assert mean_ranks({"x": ours, "y": base}, higher) == {"x": 1.0, "y": 2.0}


def test_a_task_that_begins_at_nothing_has_no_relative_gain() -> None:
    assert mean_of_relative_gains({"a": 0.5, "b": 0.5}, {"a": 0.0, "b": 0.5}) is None
    assert relative_gain_of_mean({"a": 0.5}, {"a": 0.0}) is None
    assert relative_gain_of_mean({}, {}) is None


def test_ranks_are_shared_by_equals() -> None:
    scores = {"x": {"a": 0.9, "b": 0.1}, "y": {"a": 0.9, "b": 0.3}, "z": {"a": 0.2, "b": 0.3}}
    assert mean_ranks(scores) == {"x": (1.5 + 3) / 2, "y": (1.5 + 1.5) / 2, "z": (3 + 1.5) / 2}
    assert mean_ranks({}) == {}


# --- power


def test_the_power_that_is_told_is_the_power_that_is_found() -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "power.py"))
    random = np.random.default_rng(0)
    for seeds, effect in ((3, 2.0), (5, 1.0), (10, 1.0)):
        drawn = random.normal(effect, 1.0, size=(800, seeds))
        found = np.mean([(over_seeds(list(row), [0.0] * seeds).t or 1) < 0.05 for row in drawn])
        assert script["power"](seeds, effect) == pytest.approx(found, abs=0.05)
