"""Shares given by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from motet.errors import Problem, require
from motet.registry import register
from motet.sampling.base import Mixing, Sampler, Supply, normalised
from motet.sampling.checks import one_per_task
from motet.sampling.formulas import Formula

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["FixedRatio"]


@register("sampler", "fixed")
@dataclass(frozen=True, kw_only=True)
class FixedRatio(Sampler):
    """Tasks draw in a ratio given by hand.

    Tasks that read the same rows draw by the mean of their numbers.

    Source: Luong et al. 2016, "Multi-task Sequence to Sequence Learning", whose mixing ratio is the chance that the
    next batch is a task's.

    Args:
        ratio: a number for every task; they need not sum to 1. A task with 0 is only watched.

    Relations:
        The other samplers find the ratio by themselves.

    Example:
        >>> FixedRatio(ratio={"mood": 3, "topic": 1})
        FixedRatio(ratio={'mood': 3, 'topic': 1})
    """

    ratio: Mapping[str, float]

    def __post_init__(self) -> None:
        problems = [
            Problem(f"ratio.{name}", "must be a number of at least 0", str(part))
            for name, part in self.ratio.items()
            if not 0 <= part < math.inf
        ]
        if not problems and not any(self.ratio.values()):
            problems.append(Problem("ratio", "must have a number above 0, or nothing would be drawn"))
        require(problems)

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        parts = {name: [self.ratio[task] for task in supply.tasks] for name, supply in streams.items()}
        shares = normalised({name: sum(of) / len(of) for name, of in parts.items()})
        return Formula(streams, seed, lambda epoch: shares)

    def problems(self, tasks: Sequence[Task]) -> Iterable[Problem]:
        yield from one_per_task("ratio", self.ratio, tasks)
