"""Maximum mean discrepancy: tasks are represented by the same distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.regularisers.pairs import Matching
from motet.balancing.regularisers.vectors import squared_distances
from motet.errors import Problem, positive
from motet.registry import register

__all__ = ["MMD"]


@register("regulariser", "mmd")
@dataclass(frozen=True, kw_only=True)
class MMD(Matching):
    """Rows of two tasks are drawn to one distribution: ``mean k(a, a) + mean k(b, b) - 2 mean k(a, b)``.

    The kernel is the mean of Gaussian kernels ``exp(-||x - y||**2 / (scale * width))``, where the width is the mean
    squared distance between rows of both tasks, taken as a constant. Pairs of a row with itself count too, so the
    penalty is never below zero.

    Source: the discrepancy: Gretton et al. 2012, "A Kernel Two-Sample Test"; between tasks: Xing et al. 2018,
    "Adaptive Multi-Task Transfer Learning for Chinese Word Segmentation in Medical Text".

    Args:
        scales: one kernel each; small ones see detail, large ones the whole.

    Relations:
        `CMD` compares moments instead, `KL` means alone; both are cheaper where there are many rows.

    Example:
        >>> MMD(tasks=(("news", "reviews"),), weight=0.2).scales
        (0.25, 0.5, 1.0, 2.0, 4.0)
    """

    weight: float = 0.1
    scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def faults(self) -> Iterable[Problem]:
        yield from super().faults()
        if not self.scales:
            yield Problem("scales", "must hold at least one number")
        for place, scale in enumerate(self.scales):
            yield from positive(**{f"scales.{place}": scale})

    def distance(self, one: Tensor, other: Tensor) -> Tensor:
        return mmd(one, other, self.scales)


def mmd(one: Tensor, other: Tensor, scales: Iterable[float]) -> Tensor:
    """The squared discrepancy of two samples.

    Args:
        one: ``[rows, width]``.
        other: ``[other rows, width]``.
        scales: of the kernels.
    """
    rows = torch.cat([one, other])
    rows, size = rows - rows.mean(dim=0), rows.detach().square().sum(dim=1).mean()  # keeps the digits of distances
    squared = squared_distances(rows, rows)
    width = squared.detach().mean()
    width = torch.where(width > torch.finfo(width.dtype).eps * size, width, torch.inf)  # rows that are all the same
    kernel = torch.stack([torch.exp(-squared / (scale * width)) for scale in scales]).mean(dim=0)
    first, second = slice(None, len(one)), slice(len(one), None)
    return kernel[first, first].mean() + kernel[second, second].mean() - 2 * kernel[first, second].mean()
