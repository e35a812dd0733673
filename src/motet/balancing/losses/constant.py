"""Weights that are known before the first step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from motet.balancing.losses.weighting import WeightedSum

__all__ = ["ConstantWeights"]


class ConstantWeights(WeightedSum):
    """A sum of losses, each times a constant.

    Args:
        weights: by task.
    """

    constants: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__(weights)
        constants = torch.tensor([weights[task] for task in self.tasks])
        self.register_buffer("constants", constants, persistent=False)  # the recipe knows them

    def weigh(self, rows: Tensor) -> Tensor:
        return self.constants[rows]
