"""What the family tests need to know of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from motet.architectures.base import Architecture
from motet.model import MultiTaskModel

__all__ = ["Example", "same_heads"]

Make = Callable[[Sequence[str]], Architecture]
Neutralise = Callable[[MultiTaskModel, MultiTaskModel], None]


def same_heads(plain: MultiTaskModel, model: MultiTaskModel) -> None:
    """Give a model the heads of hard sharing."""
    model.arrangement.heads.load_state_dict(plain.arrangement.heads.state_dict())


@dataclass(frozen=True)
class Example:
    """An architecture as the family tests build it.

    Args:
        make: the architecture for tasks of these names, with all that it can do switched on.
        neutral: the architecture at the setting at which it is hard sharing; by default as made.
        neutralise: given hard sharing and a freshly built neutral model with the same trunk, makes the latter answer
            as the former does.
        extras: the losses that it adds.
        mixes: whether the answer of a task depends on parameters that `own_parameters` gives to another one.
    """

    make: Make
    neutral: Make | None = None
    neutralise: Neutralise = same_heads
    extras: frozenset[str] = frozenset()
    mixes: bool = False
