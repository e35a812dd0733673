"""Whether a difference between systems is more than noise: over test rows, over seeds, over tasks and baselines.

Two questions have two tests. Would the difference stand on *other test rows*? `paired_bootstrap` and
`paired_permutation` answer, for models that are trained already. Would it stand with *other seeds*? `over_seeds`
answers, for the test rows that are there. A claim about a method needs both.

    >>> import numpy as np
    >>> ours, theirs = np.array([1, 1, 1, 0, 1, 1]), np.array([1, 0, 0, 0, 1, 0])
    >>> paired_bootstrap(mean_of(ours), mean_of(theirs), examples=6).difference
    0.5
    >>> over_seeds([0.81, 0.84], [0.80, 0.80]).verdict
    'too few seeds'

All differences are of systems on the same rows or seeds, and positive where the first system is better; turn scores
round of which less is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import special, stats

__all__ = [
    "FEWEST_SEEDS",
    "Interval",
    "OverSeeds",
    "WinTieLoss",
    "bootstrap_differences",
    "cohens_dz",
    "hedges_g",
    "holm",
    "interval",
    "mean_of",
    "mean_of_relative_gains",
    "mean_ranks",
    "over_seeds",
    "paired_bootstrap",
    "paired_permutation",
    "relative_gain_of_mean",
    "win_tie_loss",
]

Weighted = Callable[[np.ndarray], np.ndarray]
Key = TypeVar("Key", bound=Hashable)

FEWEST_SEEDS = 3  # two differences have one degree of freedom: almost nothing can be told from it
_BLOCK = 1 << 22  # weights that are held at a time
_SAME = 1e-12  # what rounding may do to two equal differences


@dataclass(frozen=True)
class Interval:
    """A difference and how far it can be trusted.

    Args:
        difference: of the two scores.
        low: lower end of the confidence interval.
        high: upper end.
        p: chance of so large a difference, in either direction, if there were none.
    """

    difference: float
    low: float
    high: float
    p: float


def mean_of(values: np.ndarray) -> Weighted:
    """The score that is a mean over examples, as `paired_bootstrap` asks for it.

    Example:
        >>> mean_of(np.array([1.0, 3.0]))(np.array([[1, 1], [2, 0]]))
        array([2., 1.])
    """
    numbers = np.asarray(values, dtype=np.float64)
    return lambda weights: weights @ numbers / weights.sum(axis=1)


def paired_bootstrap(
    ours: Weighted, theirs: Weighted, examples: int, draws: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """The difference of two systems' scores on the same test rows, by drawing these rows again with replacement.

    A system is a function from weights ``[draws, examples]``, how often each example was drawn, to its score in every
    draw; so a score need not be a mean. The interval is that of percentiles. The p-value is the share of draws that
    lie at least as far from the difference as nothing does.

    Source: Efron, Tibshirani 1993, "An Introduction to the Bootstrap"; Koehn 2004, "Statistical Significance Tests
    for Machine Translation Evaluation".

    Args:
        ours: the system in question.
        theirs: what it is compared with.
        examples: test rows, or whatever is independent of each other.
        draws: how often all are drawn.
        seed: of the draws.
        confidence: of the interval.

    Relations:
        `paired_permutation` asks the same for scores that follow from sums, without an interval.
    """
    whole = np.ones((1, examples))
    difference = float((ours(whole) - theirs(whole))[0])
    return interval(difference, bootstrap_differences(ours, theirs, examples, draws, seed), confidence)


def bootstrap_differences(
    ours: Weighted, theirs: Weighted, examples: int, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """The difference in every draw of `paired_bootstrap`, ``[draws]``; equal seeds draw equal rows."""
    found = [ours(weights) - theirs(weights) for weights in _resamples(examples, draws, seed)]
    return np.concatenate(found)


def interval(difference: float, drawn: np.ndarray, confidence: float = 0.95) -> Interval:
    """What differences over draws say about one."""
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    far = np.count_nonzero(np.abs(drawn - difference) >= abs(difference) - _SAME)
    return Interval(difference, float(low), float(high), (1 + far) / (1 + len(drawn)))


def _resamples(examples: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often every example is drawn, ``[draws, examples]``, some draws at a time."""
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK // examples)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        places = random.integers(examples, size=(rows, examples)) + examples * np.arange(rows)[:, None]
        yield np.bincount(places.ravel(), minlength=rows * examples).reshape(rows, examples).astype(np.float64)


def paired_permutation(
    ours: np.ndarray,
    theirs: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> float:
    """The p-value of a difference, in either direction, by exchanging the systems on examples chosen at random.

    It is exact where there are no more exchanges than draws.

    Source: Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses".

    Args:
        ours: numbers of each example, ``[examples]`` or ``[examples, numbers]``.
        theirs: the same of the other system.
        score: from sums over examples ``[draws, numbers]`` to scores ``[draws]``; by default the first sum.
        draws: of exchanges.
        seed: of the draws.

    Relations:
        `paired_bootstrap` also gives an interval.

    Example:
        >>> paired_permutation(np.array([3.0, 4.0, 5.0]), np.array([1.0, 1.0, 1.0]))
        0.25
    """
    one, other = (np.asarray(side, dtype=np.float64).reshape(len(side), -1) for side in (ours, theirs))
    middle, half = (one + other).sum(axis=0) / 2, (one - other) / 2
    of = score or (lambda sums: sums[:, 0])

    def difference(signs: np.ndarray) -> np.ndarray:
        turned = signs @ half
        return np.asarray(of(middle + turned) - of(middle - turned))

    seen = abs(float(difference(np.ones((1, len(one))))[0]))
    least = seen - _SAME * max(1.0, seen)
    if 2 ** min(len(one), 63) <= draws:
        every = 1.0 - 2.0 * (np.arange(2 ** len(one))[:, None] >> np.arange(len(one)) & 1)
        return float(np.mean(np.abs(difference(every)) >= least))
    far = sum(np.count_nonzero(np.abs(difference(signs)) >= least) for signs in _signs(len(one), draws, seed))
    return float(1 + far) / (1 + draws)


def _signs(examples: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK // examples)
    for start in range(0, draws, block):
        yield 1.0 - 2.0 * random.integers(2, size=(min(block, draws - start), examples))


@dataclass(frozen=True)
class OverSeeds:
    """What the differences over seeds say.

    Args:
        seeds: how many there are.
        difference: their mean.
        deviation: their standard deviation; None with one seed.
        t: p-value of the paired t-test; None where there is none.
        wilcoxon: p-value of Wilcoxon's signed-rank test; None where there is none.
        dz: Cohen's d_z; None where the differences do not vary.
        g: Hedges' g; None where the differences do not vary.
    """

    seeds: int
    difference: float
    deviation: float | None
    t: float | None
    wilcoxon: float | None
    dz: float | None
    g: float | None

    @property
    def verdict(self) -> str:
        """Why there is no p-value; empty where there is one."""
        if math.isnan(self.difference):
            return "a score is no number"
        if self.seeds < FEWEST_SEEDS:
            return "too few seeds"
        return "" if self.t is not None else "every seed differs by the same"


def over_seeds(ours: Sequence[float], theirs: Sequence[float]) -> OverSeeds:
    """Tests of the difference between two systems trained with the same seeds.

    Below `FEWEST_SEEDS` there is no p-value. Wilcoxon's test cannot fall below 0.05 with five seeds or fewer.

    Source: Student 1908, "The Probable Error of a Mean"; Wilcoxon 1945, "Individual Comparisons by Ranking Methods".

    Args:
        ours: a score for each seed.
        theirs: the scores of the other system, for the same seeds.

    Example:
        >>> found = over_seeds([0.81, 0.84, 0.82], [0.80, 0.80, 0.79])
        >>> round(found.t, 3), found.wilcoxon
        (0.094, 0.25)
    """
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    count = len(differences)
    deviation = float(differences.std(ddof=1)) if count > 1 else None
    equal = bool(np.ptp(differences) <= _SAME)
    t = wilcoxon = None
    if count >= FEWEST_SEEDS and equal:
        t = wilcoxon = 1.0 if abs(differences[0]) <= _SAME else None
    elif count >= FEWEST_SEEDS and np.isfinite(differences).all():
        t, wilcoxon = float(stats.ttest_1samp(differences, 0.0).pvalue), float(stats.wilcoxon(differences).pvalue)
    return OverSeeds(
        count, float(differences.mean()), deviation, t, wilcoxon, cohens_dz(differences), hedges_g(differences)
    )


def cohens_dz(differences: Sequence[float] | np.ndarray) -> float | None:
    """The mean of paired differences in their standard deviations; None where they do not vary.

    Source: Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences".

    Example:
        >>> cohens_dz([1.0, 2.0, 3.0])
        2.0
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) <= _SAME:
        return None
    return float(values.mean() / values.std(ddof=1))


def hedges_g(differences: Sequence[float] | np.ndarray) -> float | None:
    """`cohens_dz` without its bias in small samples; None below three differences, or where they do not vary.

    Source: Hedges 1981, "Distribution Theory for Glass's Estimator of Effect Size and Related Estimators".
    """
    dz, freedom = cohens_dz(differences), len(differences) - 1
    if dz is None or freedom < 2:
        return None
    shrink = math.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2))
    return float(dz * shrink / math.sqrt(freedom / 2))


def holm(p_values: Mapping[Key, float | None]) -> dict[Key, float | None]:
    """P-values corrected for how many there are; what is None stays so and does not count.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": None})
        {'a': 0.03, 'b': 0.06, 'c': 0.06, 'd': None}
    """
    known = sorted((p, place) for place, p in enumerate(p_values.values()) if p is not None)
    corrected: dict[int, float] = {}
    highest = 0.0
    for before, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - before) * p))
        corrected[place] = highest
    return {key: corrected.get(place) for place, key in enumerate(p_values)}


class WinTieLoss(NamedTuple):
    """How often a system was better, equal and worse."""

    wins: int
    ties: int
    losses: int


def win_tie_loss(differences: Sequence[float], margin: float = 0.0) -> WinTieLoss:
    """Count differences by direction; those of at most `margin` are ties.

    Example:
        >>> win_tie_loss([0.2, 0.0, -0.1, 0.3])
        WinTieLoss(wins=2, ties=1, losses=1)
    """
    edge = margin + _SAME
    wins, losses = sum(d > edge for d in differences), sum(d < -edge for d in differences)
    return WinTieLoss(wins, len(differences) - wins - losses, losses)


def mean_of_relative_gains(
    ours: Mapping[str, float], theirs: Mapping[str, float], higher_is_better: Mapping[str, bool] | None = None
) -> float | None:
    """The relative change of every task, averaged, positive where `ours` is better; None where a task begins at 0.

    Papers call it the average per-task improvement, Delta_m or Delta_MTL; some of them turn its sign round.

    Source: Maninis, Radosavovic, Kokkinos 2019, "Attentive Single-Tasking of Multiple Tasks".

    Relations:
        `relative_gain_of_mean` lets every task weigh by the size of its score.

    Example:
        >>> round(mean_of_relative_gains({"a": 0.9, "b": 0.22}, {"a": 0.9, "b": 0.2}), 4)
        0.05
    """
    if not theirs or any(theirs[task] == 0 for task in theirs):
        return None
    signs = {task: 1 if higher_is_better is None or higher_is_better[task] else -1 for task in theirs}
    return float(np.mean([signs[task] * (ours[task] - base) / abs(base) for task, base in theirs.items()]))


def relative_gain_of_mean(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float | None:
    """The relative change of the mean over tasks; None where that begins at 0. Higher must be better for all tasks.

    Relations:
        `mean_of_relative_gains` lets every task weigh the same.

    Example:
        >>> round(relative_gain_of_mean({"a": 0.9, "b": 0.22}, {"a": 0.9, "b": 0.2}), 4)
        0.0182
    """
    before = float(np.mean([*theirs.values()])) if theirs else 0.0
    return (float(np.mean([ours[task] for task in theirs])) - before) / abs(before) if before else None


def mean_ranks(
    scores: Mapping[Key, Mapping[str, float]], higher_is_better: Mapping[str, bool] | None = None
) -> dict[Key, float]:
    """The rank of every system, 1 for the best, averaged over tasks; equal scores share their mean rank.

    Example:
        >>> mean_ranks({"x": {"a": 0.9, "b": 0.5}, "y": {"a": 0.8, "b": 0.5}})
        {'x': 1.25, 'y': 1.75}
    """
    tasks = list(next(iter(scores.values()), {}))
    signs = np.array([-1.0 if higher_is_better is None or higher_is_better[task] else 1.0 for task in tasks])
    table = np.array([[of[task] for task in tasks] for of in scores.values()]).reshape(len(scores), len(tasks))
    ranks = stats.rankdata(signs * table, axis=0).mean(axis=1) if tasks else np.zeros(len(scores))
    return dict(zip(scores, ranks.tolist(), strict=True))
