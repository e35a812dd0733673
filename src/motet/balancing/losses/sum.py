"""The sum of the task losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from motet.balancing.base import Balance, Balancer, Facts
from motet.registry import register

__all__ = ["Sum"]


@register("balance", "sum")
@dataclass(frozen=True, kw_only=True)
class Sum(Balance):
    """The sum of the task losses, each times the constant weight of its task.

    Example:
        >>> Sum()
        Sum()
    """

    def build(self, tasks: Mapping[str, Facts]) -> Balancer:
        return _Sum()


class _Sum(Balancer):
    def backward(self, losses: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        terms = [*losses.values(), *held.values()]
        if terms:  # none if all rows of the step went to other processes
            torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]
