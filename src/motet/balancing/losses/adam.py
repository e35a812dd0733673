"""Adam on one number a task, for rules that learn their weights at a rate of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Adam"]

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class Adam(nn.Module):
    """Numbers that are learned by Adam, with its moments, all of them buffers.

    A task that is absent keeps its number, its moments and its count of steps, as if no time had passed.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization".

    Args:
        size: how many tasks there are.
        start: the number of each at first.
        rate: of learning.
        decay: pulls the numbers towards 0; added to the gradients.
    """

    values: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, size: int, *, start: float = 0.0, rate: float, decay: float = 0.0) -> None:
        super().__init__()
        self.rate = rate
        self.decay = decay
        self.register_buffer("values", torch.full((size,), start))
        for name in ("first", "second"):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("steps", torch.zeros(size, dtype=torch.float64))  # 0.999 is too coarse in single precision

    def descend(self, rows: Tensor, gradients: Tensor) -> None:
        """One step for the tasks whose numbers are kept in these rows."""
        gradients = gradients + self.decay * self.values[rows]
        self.steps[rows] += 1
        self.first[rows] = _BETAS[0] * self.first[rows] + (1 - _BETAS[0]) * gradients
        self.second[rows] = _BETAS[1] * self.second[rows] + (1 - _BETAS[1]) * gradients.square()
        first = self.first[rows] / (1 - _BETAS[0] ** self.steps[rows])
        second = self.second[rows] / (1 - _BETAS[1] ** self.steps[rows])
        self.values[rows] -= self.rate * first / (second.sqrt() + _EPSILON)
