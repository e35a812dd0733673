"""Logarithms of losses, for rules that balance rates instead of amounts."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from motet.balancing.losses.weighting import stacked

__all__ = ["logarithms"]


def logarithms(losses: Mapping[str, Tensor], floor: float) -> Tensor:
    """The logarithm of each loss plus the floor, which keeps it finite at 0.

    Raises:
        RuntimeError: a loss is negative; names the tasks.
    """
    values = stacked(losses)
    negative = values < 0
    # The one place where a rule waits for the device: what follows from a negative loss would look like training.
    if bool(negative.any()):
        names = [task for task, bad in zip(losses, negative.tolist(), strict=True) if bad]
        raise RuntimeError(f"the balance takes logarithms, and the loss of {', '.join(names)} is negative")
    return (values + floor).log()
