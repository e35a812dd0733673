"""Random weights, drawn anew for every step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from motet.balancing.base import Facts
from motet.balancing.losses.weighting import LossBalance, LossBalancer, WeightedSum
from motet.registry import register

__all__ = ["RandomWeights"]


@register("balance", "random_weights")
@dataclass(frozen=True, kw_only=True)
class RandomWeights(LossBalance):
    """Weights ``k softmax(z)``, with z drawn from a normal distribution in every step.

    A rule that does no better than this one has not been shown to balance anything. The weights of the k tasks of a
    step sum to k.

    Source: Lin et al. 2022, "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning".

    Args:
        seed: of the rule's own generator.

    Example:
        >>> RandomWeights(seed=3)
        RandomWeights(seed=3)
    """

    seed: int = 0

    def build(self, tasks: Mapping[str, Facts]) -> LossBalancer:
        return _RandomWeights(tasks, self.seed)


class _RandomWeights(WeightedSum):
    generator: Tensor

    def __init__(self, tasks: Iterable[str], seed: int) -> None:
        super().__init__(tasks)
        self._generator = torch.Generator().manual_seed(seed)
        self._drawn = torch.zeros(len(self.tasks))
        # A tensor only when it is saved: on a device, reading it in every step would mean to wait for the device.
        self.register_buffer("generator", self._generator.get_state())
        self.register_state_dict_pre_hook(self._save)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(self._restore)  # type: ignore[no-untyped-call]

    def prepare(self, losses: Mapping[str, Tensor]) -> None:
        # For absent tasks too: what a task draws does not depend on who else is there.
        self._drawn = torch.randn(len(self.tasks), generator=self._generator)

    def weigh(self, rows: Tensor) -> Tensor:
        return len(rows) * torch.softmax(self._drawn[rows], dim=0).to(self.origin.device)

    def _save(self, *_: Any) -> None:
        self.generator = self._generator.get_state().to(self.origin.device)

    def _restore(self, *_: Any) -> None:
        self._generator.set_state(self.generator.cpu())
