"""GradVac: gradients are held to the angles they usually have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import RESOLUTION, lengths
from motet.balancing.gradients.orders import Orders
from motet.errors import Problem
from motet.registry import register

__all__ = ["GradVac"]

_HIGHEST = 0.999  # to turn a gradient all the way, one would have to add infinitely much of the other


@register("balance", "gradvac")
@dataclass(frozen=True, kw_only=True)
class GradVac(GradientBalance):
    """The sum of the task gradients, each first turned towards the others to its usual angle.

    Each pair of tasks has a target, the running mean of its cosine, which starts at 0. Each gradient is compared with
    the others in random order; where its cosine with one is below the target, so much of that one is added that the
    cosine is the target. The update is on the scale of the sum of gradients, and is that sum where no cosine is below
    its target. Targets count as at most 0.999.

    Source: Wang et al. 2021, "Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively
    Multilingual Models".

    Args:
        beta: how much of a target each new cosine replaces; 0.01 in the paper, 0.5 in common implementations.
        seed: of the random orders.

    Relations:
        `PCGrad` is the same with targets that stay at 0 (`beta` 0).

    Example:
        >>> gramian = torch.tensor([[1.0, -1.0], [-1.0, 2.0]], dtype=torch.float64)
        >>> GradVac().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([2.0000, 1.5000], dtype=torch.float64)
    """

    beta: float = 0.5
    seed: int = 0

    def faults(self) -> Iterable[Problem]:
        if not 0 <= self.beta <= 1:
            yield Problem("beta", "must be 0 to 1", str(self.beta))

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _GradVac(tasks, self.beta, self.seed)


class _GradVac(Weighting):
    targets: Tensor

    def __init__(self, tasks: Sequence[str], beta: float, seed: int) -> None:
        super().__init__(tasks)
        self.beta = beta
        self.orders = Orders(len(self.tasks), seed)
        self.register_buffer("targets", torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64))

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        rows, every = self.rows(names), torch.arange(len(names))
        parts = torch.eye(len(names), dtype=gramian.dtype)  # row i: what turned gradient i is made of
        long = lengths(gramian)
        for others in self.orders(rows).unbind(dim=1):
            pair = rows[every], rows[others]
            dots = parts @ gramian
            own = _own_lengths(parts, dots, long)
            known = (own > 0) & (long[others] > 0)
            cosine = torch.where(known, dots[every, others] / (own * long[others]), 0.0).clamp(-1, 1)
            added = _turn(cosine, self.targets[pair].clamp(max=_HIGHEST)) * own / long[others]
            parts[every, others] += torch.where(known, added, 0.0)
            moved = torch.lerp(self.targets[pair], cosine, self.beta)
            self.targets[pair] = torch.where(known, moved, self.targets[pair])
        return parts.sum(dim=0)


def _own_lengths(parts: Tensor, dots: Tensor, long: Tensor) -> Tensor:
    """How long the turned gradients are; 0 for one of which only rounding is left."""
    squares = (parts * dots).sum(dim=1)
    made_of = parts.abs() @ long
    return torch.where(squares > RESOLUTION * made_of**2, squares, 0.0).sqrt()


def _turn(cosine: Tensor, target: Tensor) -> Tensor:
    """How much of another unit vector turns a unit vector to the target; 0 where it is there."""
    sine, wanted = (1 - cosine**2).sqrt(), (1 - target**2).sqrt()
    return ((target * sine - cosine * wanted) / wanted).clamp(min=0)
