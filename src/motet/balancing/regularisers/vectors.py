"""Rows of numbers, made comparable."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["directions", "squared_distances"]


def directions(rows: Tensor) -> Tensor:
    """The rows at length 1; a row of zeros has no direction and stays, without a gradient.

    Example:
        >>> directions(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6..., 0.8...], [0.0, 0.0]]
    """
    squared = rows.square().sum(dim=1, keepdim=True)
    pointing = squared > 0
    lengths = torch.where(pointing, squared, 1.0).sqrt()
    return torch.where(pointing, rows / lengths, 0.0)


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """Between every row of one matrix and every row of another, ``[rows, rows]``."""
    sizes = one.square().sum(dim=1)[:, None] + other.square().sum(dim=1)
    return (sizes - 2 * one @ other.T).clamp(min=0)
