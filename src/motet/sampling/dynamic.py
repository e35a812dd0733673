"""Tasks that are furthest from what they could be draw most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from motet.errors import Problem, positive, require
from motet.registry import register
from motet.sampling.base import Epoch, Mixing, Sampler, Supply, normalised
from motet.sampling.checks import one_per_task

if TYPE_CHECKING:
    from motet.tasks.base import Task

__all__ = ["DynamicSampling"]


@register("sampler", "dynamic")
@dataclass(frozen=True, kw_only=True)
class DynamicSampling(Sampler):
    """Tasks draw in proportion to ``max(floor, reference - score)``, what their last validation score lacks.

    For scores that fall as a task is learned the difference is turned over. Tasks that read the same rows draw by the
    mean of theirs. Until every task has a score, sizes decide, as under `Proportional`.

    Source: Gottumukkala et al. 2020, "Dynamic Sampling Strategies for Multi-Task Reading Comprehension".

    Args:
        references: for every task the score to be reached, such as that of a model of its own.
        floor: a task counts as lacking at least so much.
        relative: take what is lacking as a part of the reference. For tasks whose scores have different units.

    Relations:
        The balance `InverseScore` weighs losses by the same comparison.

    Example:
        >>> sampler = DynamicSampling(references={"a": 0.9, "b": 0.8})
        >>> mixing = sampler.build({"a": Supply(9, ("a",)), "b": Supply(1, ("b",))}, seed=0)
        >>> mixing.observe({"a": 0.6, "b": 0.7})
        >>> {name: round(share, 3) for name, share in mixing.shares(Epoch(1, 2)).items()}
        {'a': 0.75, 'b': 0.25}
    """

    references: Mapping[str, float]
    floor: float = 0.01
    relative: bool = False

    def __post_init__(self) -> None:
        problems = [*positive(floor=self.floor)]
        for name, score in self.references.items():
            if not math.isfinite(score):
                problems.append(Problem(f"references.{name}", "must be a number", str(score)))
            elif self.relative and not score:
                problems.append(Problem(f"references.{name}", "must not be 0 with `relative`", str(score)))
        require(problems)

    def build(self, streams: Mapping[str, Supply], seed: int) -> Mixing:
        return _Dynamic(streams, seed, self)

    def problems(self, tasks: Sequence[Task]) -> Iterable[Problem]:
        yield from one_per_task("references", self.references, tasks)

    def gap(self, task: str, score: float, falling: bool) -> float:
        """What a task lacks."""
        reference = self.references[task]
        lacking = score - reference if falling else reference - score
        return max(self.floor, lacking / abs(reference) if self.relative else lacking)


class _Dynamic(Mixing):
    """`gaps` are those of the tasks that have had a score."""

    def __init__(self, streams: Mapping[str, Supply], seed: int, recipe: DynamicSampling) -> None:
        super().__init__(streams, seed)
        self.recipe = recipe
        self.gaps: dict[str, float] = {}

    def shares(self, epoch: Epoch) -> dict[str, float]:
        if any(task not in self.gaps for supply in self.streams.values() for task in supply.tasks):
            return normalised({name: supply.examples for name, supply in self.streams.items()})
        gaps = {name: [self.gaps[task] for task in supply.tasks] for name, supply in self.streams.items()}
        return normalised({name: sum(of) / len(of) for name, of in gaps.items()})

    def observe(self, scores: Mapping[str, float]) -> None:
        for supply in self.streams.values():
            for task in supply.tasks:
                if math.isfinite(scores.get(task, math.nan)):
                    self.gaps[task] = self.recipe.gap(task, scores[task], task in supply.falling)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "gaps": dict(self.gaps)}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.gaps = dict(state["gaps"])
