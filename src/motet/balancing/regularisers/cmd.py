"""Central moment discrepancy: tasks are represented with the same moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.regularisers.pairs import Matching
from motet.errors import Problem, at_least
from motet.registry import register

__all__ = ["CMD"]

_SPAN = 2  # tanh lies between -1 and 1


@register("regulariser", "cmd")
@dataclass(frozen=True, kw_only=True)
class CMD(Matching):
    """Means and central moments of the rows of two tasks are drawn to each other, feature by feature.

    ``||mean(a) - mean(b)|| / 2 + sum over k of ||c_k(a) - c_k(b)|| / 2**k``, with c_k the central moments of order 2
    to `moments`. It is defined for features between two bounds; here they go through tanh first, and 2 is the
    distance of its bounds.

    Source: Zellinger et al. 2017, "Central Moment Discrepancy (CMD) for Domain-Invariant Representation Learning";
    between tasks: Xing et al. 2018, "Adaptive Multi-Task Transfer Learning for Chinese Word Segmentation in Medical
    Text".

    Args:
        moments: the highest order; 1 compares means alone.

    Relations:
        `MMD` compares whole distributions by a kernel, `KL` softened means.

    Example:
        >>> CMD(moments=3)
        CMD(weight=0.1, tasks=(), moments=3)
    """

    weight: float = 0.1
    moments: int = 5

    def faults(self) -> Iterable[Problem]:
        yield from super().faults()
        yield from at_least(1, moments=self.moments)

    def distance(self, one: Tensor, other: Tensor) -> Tensor:
        return cmd(torch.tanh(one), torch.tanh(other), self.moments)


def cmd(one: Tensor, other: Tensor, moments: int) -> Tensor:
    """The discrepancy of two samples.

    Args:
        one: ``[rows, width]``, between -1 and 1.
        other: ``[other rows, width]``, between -1 and 1.
        moments: the highest order.
    """
    means = one.mean(dim=0), other.mean(dim=0)
    centred = one - means[0], other - means[1]
    parts = [torch.linalg.vector_norm(means[0] - means[1]) / _SPAN]
    for order in range(2, moments + 1):
        first, second = (rows.pow(order).mean(dim=0) for rows in centred)
        parts.append(torch.linalg.vector_norm(first - second) / _SPAN**order)
    return torch.stack(parts).sum()
