"""Successive regularisation: what earlier tasks have learnt is not forgotten while the next ones learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from motet.balancing.regularisers.base import Features, Parameters, Penalty, Regulariser
from motet.balancing.regularisers.snapshot import Snapshot
from motet.errors import Problem, at_least
from motet.registry import register

__all__ = ["Successive"]


@register("regulariser", "successive")
@dataclass(frozen=True, kw_only=True)
class Successive(Regulariser):
    """Parameters are drawn to where they stood when the set of live tasks last changed.

    ``weight * ||theta - theta'||**2`` for the shared parameters, and ``own * ||phi - phi'||**2`` for those of every
    task that was live before the change. The first step counts as a change too, before which no task was live. (In
    the source the reference is what the task before has left behind, not what the step before has.) The copies take
    the room of the model once more, in memory and in every checkpoint.

    Source: Hashimoto et al. 2017, "A Joint Many-Task Model: Growing a Neural Network for Multiple NLP Tasks".

    Args:
        own: factor for the parameters of single tasks.

    Relations:
        For schedules with phases. Where the live tasks never change, as under `joint`, the reference stays at the
        start, and `L2ToStart` says the same more plainly; where they change in every step, there is nothing to hold.

    Example:
        >>> Successive(own=0.1)
        Successive(weight=0.001, own=0.1)
    """

    weight: float = 1e-3
    own: float = 1e-2

    @property
    def active(self) -> bool:
        return self.weight > 0 or self.own > 0

    def faults(self) -> Iterable[Problem]:
        return at_least(0, own=self.own)

    def build(self, parameters: Parameters) -> Penalty:
        return _Successive(self, parameters)


class _Successive(Penalty):
    live: Tensor
    earlier: Tensor

    def __init__(self, recipe: Successive, parameters: Parameters) -> None:
        super().__init__()
        self.recipe = recipe
        self.tasks = tuple(sorted(parameters.own))
        self.shared = Snapshot(parameters.shared if recipe.weight else ())
        self._own = {task: Snapshot(parameters.own[task] if recipe.own else ()) for task in self.tasks}
        self.own = nn.ModuleList(self._own.values())
        self.register_buffer("live", torch.zeros(len(self.tasks), dtype=torch.bool))
        self.register_buffer("earlier", torch.zeros(len(self.tasks), dtype=torch.bool))
        # Plain sets beside the tensors: on a device, reading these in every step would mean to wait for the device.
        self._live: set[str] = set()
        self._earlier: set[str] = set()
        self.register_load_state_dict_post_hook(self._restore)  # type: ignore[no-untyped-call]

    def begin(self, step: int, live: Sequence[str]) -> None:
        if set(live) == self._live:
            return
        self._earlier |= self._live
        self._live = set(live)
        for kept, names in ((self.live, self._live), (self.earlier, self._earlier)):
            kept.copy_(torch.tensor([task in names for task in self.tasks]))
        for snapshot in (self.shared, *self._own.values()):
            snapshot.take()

    def forward(self, features: Mapping[str, Features]) -> Tensor:
        own = sum((self._own[task].distance() for task in sorted(self._earlier)), start=torch.zeros(()))
        return self.recipe.weight * self.shared.distance() + self.recipe.own * own

    def _restore(self, *_: Any) -> None:
        self._live, self._earlier = self._named(self.live), self._named(self.earlier)

    def _named(self, kept: Tensor) -> set[str]:
        return {task for task, there in zip(self.tasks, kept.tolist(), strict=True) if there}
