"""How often each class was true, guessed and hit, and the F1 that follows from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Confusion", "Margins", "class_f1", "confusion", "macro_f1", "margins", "ratio"]


class Confusion(NamedTuple):
    """The filled cells of a confusion matrix; `counts` are ``[..., cells]``."""

    true: np.ndarray
    found: np.ndarray
    counts: np.ndarray


class Margins(NamedTuple):
    """How often each class was hit, true and found; classes on the last axis."""

    hits: np.ndarray
    true: np.ndarray
    found: np.ndarray


def confusion(truth: np.ndarray, guess: np.ndarray, classes: int) -> Confusion:
    """The cells that true and guessed classes fill."""
    cells, counts = np.unique(truth * classes + guess, return_counts=True)
    return Confusion(cells // classes, cells % classes, counts)


def margins(cells: Confusion, classes: int) -> Margins:
    """What a confusion matrix says of each class."""
    true, found, counts = cells
    hits = np.zeros((*counts.shape[:-1], classes), dtype=counts.dtype)
    diagonal = true == found
    hits[..., true[diagonal]] = counts[..., diagonal]
    return Margins(hits, _sum_by(true, counts, classes), _sum_by(found, counts, classes))


def class_f1(counted: Margins) -> np.ndarray:
    """F1 of each class."""
    return ratio(2 * counted.hits, counted.true + counted.found)


def macro_f1(counted: Margins) -> np.ndarray:
    """F1 averaged over the classes that are true or found anywhere."""
    return ratio(class_f1(counted).sum(axis=-1), (counted.true + counted.found > 0).sum(axis=-1))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A quotient that is 0 where it is not defined."""
    return np.asarray(np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0))


def _sum_by(labels: np.ndarray, counts: np.ndarray, classes: int) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums = np.zeros((*counts.shape[:-1], classes), dtype=counts.dtype)
    sums[..., present] = np.add.reduceat(counts[..., order], starts, axis=-1)
    return sums
