"""Rows that belong together because some task needs them in one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["bundles"]


def bundles(count: int, ties: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The bundle of every row: rows are in one if any task ties them, directly or through others.

    Args:
        count: of rows.
        ties: for every task the rows that it ties, and the example that each of them belongs to.

    Returns:
        Numbers from 0, ``[count]``.

    Example:
        >>> bundles(4, [(np.array([0, 1]), np.array([0, 0])), (np.array([1, 3]), np.array([5, 5]))]).tolist()
        [0, 0, 1, 0]
    """
    rows, nodes, size = [], [], count
    for of_task, groups in ties:
        _, numbered = np.unique(groups, return_inverse=True)
        rows.append(of_task)
        nodes.append(size + numbered)
        size += int(numbered.max(initial=-1)) + 1
    if not rows:
        return np.arange(count)
    edges = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][:count])
