"""Of more rows than are needed, those that the model is least sure of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from motet.errors import Problem, require
from motet.registry import part_name, register
from motet.sampling.base import Epoch, Mixing, Sampler, Supply

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["MTUncertainty"]

_CLASSES = ("classification", "tagging")


@register("sampler", "mt_uncertainty")
@dataclass(frozen=True, kw_only=True)
class MTUncertainty(Sampler):
    """Draw a pool of rows, equally from all sets, and train on the most uncertain of them.

    With S(x) the entropy of the prediction for a row, H the entropy of a blind guess between the classes of its task,
    M the mean of S over the rows of its task in the pool, and G the largest M of any task, rows are ranked by

        paper   S(x) / (G H)
        code    S(x) / H * M / G

    and the highest are kept. The second form is that of the authors' program, and favours tasks that are uncertain as a
    whole. The entropy of a tagged row is the mean over its words; a row of several tasks is ranked by the mean of
    theirs. The rest of the pool is passed over until the next epoch. Every row of the pool costs a forward pass, about
    a third of a step of training on it. A batch of a single stream holds the most uncertain rows of that stream.

    Source: Pilault, El hattami and Pal 2021, "Conditionally Adaptive Multi-Task Learning: Improving Transfer Learning
    in NLP Using Fewer Parameters & Less Data".

    Args:
        form: of the ranking.
        pool: rows drawn for one that is kept; by default the number of sets of rows, as in the paper.

    Relations:
        `Uniform` draws the pool. Only for tasks that choose between classes.

    Example:
        >>> MTUncertainty(pool=3)
        MTUncertainty(form='paper', pool=3)
    """

    form: Literal["paper", "code"] = "paper"
    pool: int | None = None

    def __post_init__(self) -> None:
        if self.form not in ("paper", "code"):
            require([Problem("form", "must be `paper` or `code`", str(self.form))])
        if self.pool is not None and self.pool < 2:
            require([Problem("pool", "must be at least 2", str(self.pool))])

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        return _MTUncertainty(streams, seed, self)

    def problems(self, tasks: Sequence[Task]) -> Iterable[Problem]:
        for task in tasks:
            if part_name(task) not in _CLASSES:
                rule = "chooses between no classes, so mt_uncertainty cannot say how sure the model is"
                yield Problem(f"tasks.{task.name}", rule, part_name(task), "Use another sampler.")


class _MTUncertainty(Mixing):
    def __init__(self, streams: Mapping[str, Supply], seed: int, recipe: MTUncertainty) -> None:
        super().__init__(streams, seed)
        self.form = recipe.form
        self.pool = recipe.pool or len(streams)
        self.guesses = {t: math.log(n) for supply in streams.values() for t, n in supply.classes.items()}

    def shares(self, epoch: Epoch) -> dict[str, float]:
        return {name: 1 / len(self.streams) for name in self.streams}

    def keep(self, entropies: Mapping[str, Mapping[str, np.ndarray]], count: int) -> dict[str, np.ndarray]:
        uncertainties = self._uncertainties(entropies)
        every = np.concatenate(list(uncertainties.values()))
        kept = np.zeros(len(every), dtype=bool)
        kept[np.argsort(-every, kind="stable")[:count]] = True
        ends = np.cumsum([len(rows) for rows in uncertainties.values()])
        return {n: np.flatnonzero(part) for n, part in zip(uncertainties, np.split(kept, ends[:-1]), strict=True)}

    def _uncertainties(self, entropies: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Of every row of every stream; a row that no live task labels counts as certain."""
        means = {task: float(_mean(rows)) for of in entropies.values() for task, rows in of.items()}
        largest = max(*means.values(), np.finfo(float).tiny)
        factors = {task: (mean if self.form == "code" else 1) / largest for task, mean in means.items()}
        return {
            name: _mean(np.stack([factors[task] * rows / self.guesses[task] for task, rows in of.items()]))
            for name, of in entropies.items()
        }


def _mean(numbers: np.ndarray) -> np.ndarray:
    """Over the first axis, without those that are nan; 0 where all are."""
    seen = ~np.isnan(numbers)
    return np.asarray(np.where(seen, numbers, 0.0).sum(axis=0) / np.maximum(1, seen.sum(axis=0)))
