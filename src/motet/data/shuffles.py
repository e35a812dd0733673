"""The order of an epoch: every row once, from a few numbers instead of a list of all rows."""

from __future__ import annotations

import numpy as np

__all__ = ["LISTED", "Cipher", "Shuffle"]

LISTED = 1 << 20  # shorter orders are written out
_ROUNDS = 8


class Shuffle:
    """A random order of the numbers below `count`, the same one every time.

    Args:
        count: how many there are.
        seed: of the order.
        epoch: which of the orders of this seed.

    Example:
        >>> Shuffle(5, seed=0, epoch=1).at(np.arange(5)).tolist()
        [1, 4, 2, 0, 3]
    """

    def __init__(self, count: int, seed: int, epoch: int) -> None:
        random = np.random.default_rng([seed, 2, epoch])
        self._order = random.permutation(count) if count < LISTED else Cipher(count, random)

    def at(self, places: np.ndarray) -> np.ndarray:
        """The numbers at some places of the order."""
        return self._order.at(places) if isinstance(self._order, Cipher) else self._order[places]


class Cipher:
    """A keyed bijection of the numbers below `count`, of which nothing is stored but the keys.

    A Feistel network enciphers the numbers below the next power of four; whatever comes out too large is enciphered
    again until it does not. Source: Black, Rogaway 2002, "Ciphers with Arbitrary Finite Domains".

    Args:
        count: how many numbers.
        random: gives the keys.

    Example:
        >>> sorted(Cipher(6, np.random.default_rng(0)).at(np.arange(6)).tolist())
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self._count = count
        self._half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))
        self._mask = (np.uint64(1) << self._half) - np.uint64(1)
        self._keys = random.integers(1 << 64, size=_ROUNDS, dtype=np.uint64)

    def at(self, places: np.ndarray) -> np.ndarray:
        """What some numbers become."""
        found = self._enciphered(places.astype(np.uint64))
        while len(outside := np.flatnonzero(found >= self._count)):
            found[outside] = self._enciphered(found[outside])
        return found.astype(np.int64)

    def _enciphered(self, numbers: np.ndarray) -> np.ndarray:
        left, right = numbers >> self._half, numbers & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mixed(right + key) & self._mask)
        return np.asarray((left << self._half) | right)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Every bit of the result depends on every bit of the number. Source: Stafford's thirteenth mixer of 64 bits."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
