"""Orthogonality: two sets of features say nothing about each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from motet.balancing.regularisers.pairs import Matching
from motet.balancing.regularisers.vectors import directions
from motet.errors import Problem
from motet.registry import register

__all__ = ["Orthogonality", "overlap"]


@register("regulariser", "orthogonality")
@dataclass(frozen=True, kw_only=True)
class Orthogonality(Matching):
    """Rows of two tasks are kept in different directions: the mean of their squared cosines, ``||A B'||**2`` of them.

    Rows are seen from the mean of their task and brought to length 1. It is for few pairs of tasks that are known to
    disturb each other and that read different texts, so the pairs have to be named: a text that both read cannot be
    represented in two directions at once.

    Source: for the shared and the private features of the same rows: Liu, Qiu and Huang 2017, "Adversarial
    Multi-task Learning for Text Classification"; `overlap` is that penalty, for any two matrices.

    Args:
        tasks: pairs of tasks, such as ``[[a, b], [a, c]]``; at least one.

    Relations:
        The opposite of `MMD`, `CMD` and `KL`, which draw tasks together.

    Example:
        >>> Orthogonality(tasks=(("mood", "topic"),)).weight
        0.01
    """

    weight: float = 0.01

    def problems(self, tasks: Mapping[str, bool]) -> Iterable[Problem]:
        yield from super().problems(tasks)
        if not self.tasks:
            yield Problem("tasks", "must name the pairs of tasks to be kept apart", remedy="Write [[a, b]].")

    def distance(self, one: Tensor, other: Tensor) -> Tensor:
        first, second = (directions(rows - rows.mean(dim=0)) for rows in (one, other))
        return overlap(first.T, second.T) / (len(one) * len(other))


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """The squared Frobenius norm of ``one' other``: 0 where no column of one has a part along a column of the other.

    Args:
        one: ``[rows, features]``.
        other: ``[rows, other features]``, of the same rows.

    Example:
        >>> import torch
        >>> shared, private = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [-1.0]])
        >>> float(overlap(shared, private)), float(overlap(shared, shared))
        (0.0, 4.0)
    """
    return (one.T @ other).square().sum()
