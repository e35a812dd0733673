"""Aligned-MTL: gradients made orthogonal and equally long, with as little change as can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance, Weighting
from motet.balancing.gradients.geometry import rank
from motet.errors import Problem, one_of
from motet.registry import register

__all__ = ["AlignedMTL"]

Scale = Literal["min", "median", "rmse"]


@register("balance", "aligned")
@dataclass(frozen=True, kw_only=True)
class AlignedMTL(GradientBalance):
    """The sum of the task gradients, first made orthogonal and equally long with as little change as can be.

    Their common length is a singular value of the gradients. With the smallest, which is stable, a short gradient or
    a conflict makes the update short. Each task counts 1, so the update is on the scale of the sum of gradients and
    is that sum where they are orthogonal and equally long. Directions in which gradients are dependent are left out.

    Source: Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning".

    Args:
        scale: which singular value: the smallest (`min`), the `median`, or the root of their mean square (`rmse`).

    Relations:
        `UPGrad` removes conflicts and keeps lengths.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> AlignedMTL().weighting(["a", "b"])(gramian, ["a", "b"])
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """

    scale: Scale = "min"

    def faults(self) -> Iterable[Problem]:
        return one_of(Scale, scale=self.scale)

    def weighting(self, tasks: Sequence[str]) -> Weighting:
        return _AlignedMTL(tasks, self.scale)


class _AlignedMTL(Weighting):
    def __init__(self, tasks: Sequence[str], scale: Scale) -> None:
        super().__init__(tasks)
        self.scale = scale

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        values, vectors = torch.linalg.eigh(gramian / gramian.diagonal().max())
        rounding = len(values) * torch.finfo(values.dtype).eps * values[-1]
        kept = min(rank(gramian), int((values > rounding).sum()))
        values, vectors = values[-kept:], vectors[:, -kept:]
        length = {"min": values[0], "median": values.median(), "rmse": values.mean()}[self.scale].sqrt()
        weights: Tensor = vectors / values.sqrt() @ vectors.sum(dim=0) * length
        return weights
