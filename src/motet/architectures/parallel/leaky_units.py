"""Columns that let gated parts of each other's states in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.columns import Columned, InStep, of_column
from motet.architectures.heads import Heads, answering, key
from motet.encoders.trunk import Trunk
from motet.errors import Problem
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["LeakyUnit", "LeakyUnits"]


@register("architecture", "leaky_units")
@dataclass(frozen=True, kw_only=True)
class LeakyUnits(Columned):
    """A column for each task; behind some layers, gates let in what the states of other columns add to its own.

    For every ordered pair of tasks a `LeakyUnit` reads the states of both at the same sub-word; a column goes on with
    the mean of what its units say. All columns read all rows; the trunk's layers are the first column, and the others
    begin as copies of it. Tasks that write do so with the trunk as it is.

    Source: Xiao, Zhang, Chen 2018, "Learning What to Share: Leaky Multi-Task Network for Text Classification".

    Args:
        units_after: layers that units stand behind, 1 being the first; by default the last alone.
        one_unit: whether all pairs of tasks have the same unit behind a layer, instead of one each.
        keep: the share of its own states that a column keeps at the beginning, since a pretrained encoder has never
            read what fresh units make of them.

    Relations:
        `CrossStitch` exchanges states without looking at them; `GatedFusion` has one gate, to a shared column.

    Example:
        >>> LeakyUnits(shared_layers=6, units_after=(9, 12)).keep
        0.9
    """

    units_after: tuple[int, ...] = ()
    one_unit: bool = False
    keep: float = 0.9

    def faults(self) -> Iterator[Problem]:
        yield from super().faults()
        if not 0 < self.keep < 1:
            yield Problem("keep", "must be above 0 and below 1", str(self.keep))

    def misfits(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterator[Problem]:
        return of_column(self.units_after, self.shared_layers, trunk.depth, "architecture.units_after")

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return max(0, len(answering(tasks)) - 1)

    def more(self, tasks: Mapping[str, Task], trunk: Trunk) -> int:
        one = 6 * trunk.width**2 + 3 * trunk.width
        count = len(answering(tasks))
        pairs = min(1, count - 1) if self.one_unit else count * (count - 1)
        return pairs * len(set(self.units_after) or {trunk.depth}) * one

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _LeakyUnits(self, trunk, tasks)


class _LeakyUnits(InStep):
    def __init__(self, part: LeakyUnits, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        heads = Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout)
        super().__init__(trunk, heads, tasks, part.shared_layers)
        self.one_unit = part.one_unit
        pairs = [(m, n) for m in self.names for n in self.names if m != n]
        ways = sorted({self._way(m, n) for m, n in pairs})
        self.units = nn.ModuleDict()
        for layer in sorted(set(part.units_after) or {trunk.depth}):
            units = nn.ModuleDict({way: LeakyUnit(trunk.width, part.keep) for way in ways})
            self.units[str(layer - 1 - part.shared_layers)] = units

    def mix(self, place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        if str(place) not in self.units or len(found) < 2:
            return found
        return {m: self._leaked(place, m, found) for m in self.names}

    def _leaked(self, place: int, m: str, found: Mapping[str, Tensor]) -> Tensor:
        units, others = self.units[str(place)], [n for n in self.names if n != m]
        said = [units.get_submodule(self._way(m, n))(found[m], found[n]) for n in others]
        total: Tensor = reduce(torch.add, said)
        return total / len(others)

    def _way(self, m: str, n: str) -> str:
        """The name of the unit by which one task hears another."""
        return "of_all" if self.one_unit else f"{key(m)} from {key(n)}"


class LeakyUnit(nn.Module):
    """What a column goes on with, having seen its own states `h_m` and those `h_n` of another one.

    ``z * h_m + (1 - z) * tanh(U h_m + W (r * h_n))`` with gates ``r = sigmoid(W_r [h_m; h_n])``, which lets the other
    states in, and ``z = sigmoid(W_z [h_m; h_n])``, which keeps its own.

    Args:
        width: of the states.
        keep: `z` at the beginning.
    """

    def __init__(self, width: int, keep: float) -> None:
        super().__init__()
        self.reset = nn.Linear(2 * width, width)
        self.update = nn.Linear(2 * width, width)
        self.U = nn.Linear(width, width)
        self.W = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.update.weight)
        nn.init.constant_(self.update.bias, math.log(keep / (1 - keep)))

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """States ``[..., width]``."""
        both = torch.cat([own, other], dim=-1)
        r, z = torch.sigmoid(self.reset(both)), torch.sigmoid(self.update(both))
        return z * own + (1 - z) * torch.tanh(self.U(own) + self.W(r * other))
