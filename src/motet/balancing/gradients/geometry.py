"""What a Gramian says about its gradients: lengths, angles, dependence.

Rules that look at angles alone give the same direction whatever the units of a loss, so they work with cosines and
put the lengths back at the end. A zero gradient counts as one of a direction of its own: it meets no other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["RESOLUTION", "conflict", "cosines", "divisors", "equal_cosines", "lengths", "rank", "square_root"]

RESOLUTION = 1e-7
"""What is left of a cosine: gradients are in single precision. An eigenvalue smaller than that is a zero."""

_RIDGE = 1e-10  # breaks ties: of two equal gradients a solver would give everything to one


def lengths(gramian: Tensor) -> Tensor:
    """The length of each gradient.

    Example:
        >>> lengths(torch.tensor([[4.0, 1.0], [1.0, 9.0]]))
        tensor([2., 3.])
    """
    return gramian.diagonal().clamp(min=0).sqrt()


def divisors(gramian: Tensor) -> Tensor:
    """The length of each gradient; 1 for a zero gradient."""
    found = lengths(gramian)
    return torch.where(found > 0, found, 1.0)


def cosines(gramian: Tensor) -> Tensor:
    """The cosine of each pair of gradients.

    Example:
        >>> cosines(torch.tensor([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]]))
        tensor([[1.0000, 0.5000, 0.0000],
                [0.5000, 1.0000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    by = divisors(gramian)
    found = (gramian / by[:, None] / by).clamp(-1, 1)
    found = (found + found.T) / 2
    return found.fill_diagonal_(1.0)


def square_root(gramian: Tensor) -> Tensor:
    """Vectors with these angles and lengths, as columns: as good as the gradients themselves, and short.

    Example:
        >>> columns = square_root(torch.tensor([[4.0, 3.0], [3.0, 9.0]], dtype=torch.float64))
        >>> columns.T @ columns
        tensor([[4.0000, 3.0000],
                [3.0000, 9.0000]], dtype=torch.float64)
    """
    values, vectors = torch.linalg.eigh(cosines(gramian))
    units: Tensor = vectors * (values.clamp(min=0) + _RIDGE).sqrt() @ vectors.T
    return units * lengths(gramian)


def rank(gramian: Tensor) -> int:
    """How many gradients are independent, up to rounding."""
    values = torch.linalg.eigvalsh(cosines(gramian))
    return int((values > RESOLUTION * values[-1]).sum() - (lengths(gramian) == 0).sum())


def equal_cosines(gramian: Tensor) -> Tensor:
    """How much of each unit gradient makes a vector whose dot product with every unit gradient is 1.

    Where there is no such vector, the one that comes closest. All are 0 where the unit gradients sum to zero.
    """
    angles = cosines(gramian)
    values, vectors = torch.linalg.eigh(angles)
    inverse = torch.where(values > RESOLUTION * values[-1], 1 / values, 0.0)
    parts = vectors @ (inverse * vectors.sum(dim=0))
    return torch.where(lengths(gramian) > 0, parts, 0.0)


def conflict(gramian: Tensor, names: Sequence[str]) -> dict[str, object]:
    """Lengths and cosines of gradients, to be written down; null where one has no length.

    Example:
        >>> conflict(torch.tensor([[4.0, 2.0], [2.0, 1.0]]), ["a", "b"])["cosines"]
        [[1.0, 1.0], [1.0, 1.0]]
    """
    long = lengths(gramian)
    cosines = (gramian / long / long[:, None]).clamp(-1, 1)
    return {"names": list(names), "norms": long.tolist(), "cosines": cosines.tolist()}
