"""PCGrad: no gradient keeps what opposes another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.orders import Orders
from motet.registry import register

__all__ = ["PCGrad"]


@register("balance", "pcgrad")
@dataclass(frozen=True, kw_only=True)
class PCGrad(GradientBalance):
    """The sum of the task gradients, each first freed of what opposes another.

    Each gradient is compared with the others in random order; where it opposes one, its projection onto that one is
    taken away. The update is on the scale of the sum of gradients, and is that sum where none oppose.

    Source: Yu et al. 2020, "Gradient Surgery for Multi-Task Learning".

    Args:
        seed: of the random orders.

    Relations:
        `GradVac` asks for more than no conflict. `UPGrad` projects at once and not in turn, so that nothing is random
        and the update opposes no task.

    Example:
        >>> gramian = torch.tensor([[1.0, -1.0], [-1.0, 2.0]], dtype=torch.float64)
        >>> PCGrad().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([2.0000, 1.5000], dtype=torch.float64)
    """

    seed: int = 0

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _PCGrad(tasks, self.seed)


class _PCGrad(Weighting):
    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        super().__init__(tasks)
        self.orders = Orders(len(self.tasks), seed)

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        parts = torch.eye(len(names), dtype=gramian.dtype)  # row i: what projected gradient i is made of
        every = torch.arange(len(names))
        squares = gramian.diagonal()
        for others in self.orders(self.rows(names)).unbind(dim=1):
            dots = (gramian[others] * parts).sum(dim=1)
            opposed = (dots < 0) & (squares[others] > 0)
            parts[every, others] -= torch.where(opposed, dots / squares[others], 0.0)
        return parts.sum(dim=0)
