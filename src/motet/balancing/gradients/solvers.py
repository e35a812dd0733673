"""The two small optimisation problems that some rules pose: exact, by active sets, in well under a millisecond.

Both are a non-negative least squares (Lawson, Hanson 1974, "Solving Least Squares Problems").
"""

from __future__ import annotations

import torch
from scipy.optimize import nnls
from torch import Tensor

from motet.balancing.gradients.base import SolverFailed

__all__ = ["multipliers", "shortest"]


def multipliers(columns: Tensor, vector: Tensor) -> Tensor:
    """Non-negative parts of the columns that, added to a vector, make it as short as can be.

    The sum is then the closest point to the vector that no column opposes.

    Example:
        >>> multipliers(torch.eye(2, dtype=torch.float64), torch.tensor([-2.0, 3.0], dtype=torch.float64))
        tensor([2., 0.], dtype=torch.float64)
    """
    try:
        parts, _ = nnls(columns.numpy(), -vector.numpy(), maxiter=100 * len(vector))
    except RuntimeError as error:
        raise SolverFailed(f"Non-negative least squares on {columns.shape[1]} gradients: {error}") from error
    return torch.from_numpy(parts)


def shortest(columns: Tensor) -> Tensor:
    """Weights of the shortest convex combination of the columns.

    Example:
        >>> shortest(torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64))
        tensor([0.8000, 0.2000], dtype=torch.float64)
    """
    longest = columns.norm(dim=0).max()
    # With a row of ones that is to sum to 1, the optimum for each direction is its convex combination, shrunk; and it
    # is the better the shorter that combination is.
    rows = torch.cat([columns / torch.where(longest > 0, longest, 1.0), columns.new_ones(1, columns.shape[1])])
    target = columns.new_zeros(len(rows))
    target[-1] = -1
    parts = multipliers(rows, target)
    return parts / parts.sum()
