"""The gains of variants over the baseline, each with its two tests, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import mean
from typing import NamedTuple, TypeVar

import numpy as np

from motet.reporting.study_view import Gain, Task
from motet.significance import bootstrap_differences, holm, interval, over_seeds
from motet.study.contest import Contest

__all__ = ["gains_by_task", "gains_of_means"]

_DRAWS = 2000
_DRAWS_EACH = 200  # a comparison: no p-value is below one over the draws, and Holm's method multiplies it by as many
Key = TypeVar("Key", str, tuple[str, str])


class _Drawn(NamedTuple):
    """A gain, and what it is in other draws of the test rows."""

    gain: float
    draws: np.ndarray


Drawn = Mapping[tuple[str, str], _Drawn]


def gains_by_task(contest: Contest) -> tuple[dict[tuple[str, str], Gain], Drawn]:
    """The gain of every task and variant, corrected over all of them, and the draws that it rests on."""
    keys = [(task, variant) for task in contest.tasks for variant in contest.rivals if contest.shared(variant)]
    count = max(_DRAWS, _DRAWS_EACH * len(keys))
    found = {(task.name, name): _draw(contest, task, name, count) for task, name in keys}
    drawn = {key: draws for key, draws in found.items() if draws is not None}
    return _corrected({(task.name, name): _gain(contest, task, name, drawn) for task, name in keys}), drawn


def _gain(contest: Contest, task: Task, variant: str, drawn: Drawn) -> Gain:
    sides = (
        [task.sign * contest.score(name, seed, task) for seed in contest.shared(variant)]
        for name in (variant, contest.base)
    )
    found = drawn.get((task.name, variant))
    return Gain(interval(*found) if found else None, over_seeds(*sides))


def _draw(contest: Contest, task: Task, variant: str, count: int) -> _Drawn | None:
    """The mean over the shared seeds in every draw; tasks with the same test rows draw the same of them."""
    sides = [
        [contest.systems[name][seed].tested[task.name] for seed in contest.shared(variant)]
        for name in (variant, contest.base)
    ]
    if not all(tested.evidence.formula for side in sides for tested in side):
        return None

    def score(side: int, weights: np.ndarray) -> np.ndarray:
        return np.asarray(task.sign * np.mean([tested.evidence.scores(weights) for tested in sides[side]], axis=0))

    first = sides[0][0]
    draws = bootstrap_differences(
        lambda weights: score(0, weights),
        lambda weights: score(1, weights),
        first.rows,
        draws=count,
        seed=int(first.rows_digest[:8], 16),
    )
    difference = mean(tested.score for tested in sides[0]) - mean(tested.score for tested in sides[1])
    return _Drawn(task.sign * difference, draws)


def gains_of_means(contest: Contest, drawn: Drawn) -> dict[str, Gain]:
    """The gain of every variant in the mean over tasks, corrected over the variants."""
    tasks = contest.averaged
    found = {}
    for variant in contest.rivals if tasks else ():
        seeds = contest.shared(variant)
        if not seeds:
            continue
        parts = [drawn[task.name, variant] for task in tasks if (task.name, variant) in drawn]
        rows = None
        if len(parts) == len(tasks):
            rows = interval(mean(part.gain for part in parts), np.mean([part.draws for part in parts], axis=0))
        sides = ([contest.mean_score(name, seed) for seed in seeds] for name in (variant, contest.base))
        found[variant] = Gain(rows, over_seeds(*sides))
    return _corrected(found)


def _corrected(gains: Mapping[Key, Gain]) -> dict[Key, Gain]:
    rows = holm({key: gain.over_rows.p if gain.over_rows else None for key, gain in gains.items()})
    seeds = holm({key: gain.over_seeds.t for key, gain in gains.items()})
    return {key: replace(gain, p_rows=rows[key], p_seeds=seeds[key]) for key, gain in gains.items()}
