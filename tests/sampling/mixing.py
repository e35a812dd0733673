"""Mixings of streams that are no more than names and sizes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from motet.sampling.base import Epoch, Mixing, Sampler, Supply

START = Epoch(now=1, last=5)


def supplies(sizes: Mapping[str, int]) -> dict[str, Supply]:
    """A stream for every name; of a name like `a+b`, it serves both tasks."""
    return {name: Supply(size, tuple(name.split("+"))) for name, size in sizes.items()}


def mixing_of(sampler: Sampler, seed: int = 0, **sizes: int) -> Mixing:
    """A mixing of streams that serve a task of their name."""
    return sampler.build(supplies(sizes), seed)


def drawn(mixing: Mixing, count: int, candidates: list[str] | None = None) -> Counter[str]:
    """How often each stream is picked."""
    names, shares = candidates or list(mixing.streams), mixing.shares(START)
    return Counter(mixing.pick(names, shares) for _ in range(count))


def again(mixing: Mixing, fresh: Mixing) -> Mixing:
    """The fresh one, which goes on where the other is, by way of a file."""
    fresh.restore(json.loads(json.dumps(mixing.state())))
    return fresh
