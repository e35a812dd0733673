"""Gradients of embedding matrices: of the rows that a step reads, and of no others.

A step reads a few hundred rows of some ten thousand. So what a lookup returns is cut from the graph, its gradient is
caught there, and the gradient of a whole matrix is never made for a single task. Whatever else reads a matrix, such as
an output layer that is tied to it, leaves a gradient on the matrix as ever, of which the rows that are not zero count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["Block", "Lookup", "Tables"]


@dataclass(frozen=True)
class Lookup:
    """What was read from a table.

    Args:
        table: which.
        ids: the rows that were read, ``[...]``.
        below: them, as the table gave them, ``[..., width]``.
        above: the same as they were read, a leaf of the graph.
        padding: a row that is not learned, or -1.
    """

    table: nn.Parameter
    ids: Tensor
    below: Tensor
    above: Tensor
    padding: int


@dataclass(frozen=True)
class Block:
    """The gradients of the rows of one table that a step has used.

    Args:
        table: which.
        ids: of these rows, ascending, ``[rows]``.
        values: ``[gradients, rows, width]``.
    """

    table: nn.Parameter
    ids: Tensor
    values: Tensor


class Tables:
    """The embedding matrices of a trunk.

    Args:
        trunk: in which they are looked for.
        shared: the trained parameters among which they must be.
    """

    def __init__(self, trunk: nn.Module, shared: Sequence[nn.Parameter]) -> None:
        wanted = {id(p) for p in shared}
        found = [m for m in trunk.modules() if isinstance(m, nn.Embedding) and id(m.weight) in wanted]
        self.parameters = list({id(m.weight): cast(nn.Parameter, m.weight) for m in found}.values())
        self.lookups: list[Lookup] = []
        self._plain = [m for m in found if type(m).forward is nn.Embedding.forward and not m.scale_grad_by_freq]
        self._handles: list[RemovableHandle] = []
        self._pieces: dict[int, dict[str, list[tuple[Tensor, Tensor]]]] = {id(p): {} for p in self.parameters}

    def listen(self) -> None:
        """Cut lookups from the graph, until `clear`."""
        self._handles = [module.register_forward_hook(self._cut) for module in self._plain]

    def clear(self) -> None:
        """Forget the gradients and leave lookups alone."""
        # Copies of the trunk, such as teachers, must not inherit the hooks: they are there during a step alone.
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.lookups = []
        self._pieces = {id(p): {} for p in self.parameters}

    def take(self, name: str) -> None:
        """Keep what a backward pass has left as part of one gradient."""
        for lookup in self.lookups:
            if lookup.above.grad is not None:
                self._keep(name, lookup.table, *learned(lookup, lookup.above.grad))
                lookup.above.grad = None
        for p in self.parameters:
            if p.grad is not None:
                used = torch.linalg.vector_norm(p.grad, dim=1).nonzero().flatten()
                self._keep(name, p, used, p.grad[used])
                p.grad = None

    def blocks(self, names: Sequence[str], total: Callable[[Tensor], Tensor], processes: int) -> list[Block]:
        """The gradients by table, tables that none has used left out.

        Args:
            names: of the gradients, in order.
            total: adds a tensor up over all processes.
            processes: how many there are.
        """
        made = []
        for p in self.parameters:
            ids = self._used(p, names, total, processes)
            if len(ids):
                values = p.new_zeros(len(names), len(ids), p.shape[1], dtype=torch.float32, requires_grad=False)
                for row, name in zip(values, names, strict=True):
                    for piece, found in self._pieces[id(p)].get(name, ()):
                        row.index_add_(0, torch.searchsorted(ids, piece), found.float())
                made.append(Block(p, ids, total(values)))
        return made

    def summed(self, table: nn.Parameter) -> tuple[Tensor, Tensor]:
        """The rows of a table that this process has used, and all its gradients of them added up."""
        pieces = [piece for of_name in self._pieces[id(table)].values() for piece in of_name]
        nothing = torch.zeros(0, dtype=torch.int64, device=table.device)
        ids = _ascending(torch.cat([nothing, *(used for used, _ in pieces)]))
        total = table.new_zeros(len(ids), table.shape[1], dtype=torch.float32, requires_grad=False)
        for used, values in pieces:
            total.index_add_(0, torch.searchsorted(ids, used), values.float())
        return ids, total

    def _cut(self, module: nn.Embedding, given: tuple[Any, ...], states: Tensor) -> Tensor | None:
        if not states.requires_grad:
            return None
        above = states.detach().requires_grad_()
        padding = -1 if module.padding_idx is None else module.padding_idx
        self.lookups.append(Lookup(cast(nn.Parameter, module.weight), given[0], states, above, padding))
        return above.clone()  # a leaf must not be changed in place, which a model may do to its states

    def _keep(self, name: str, table: nn.Parameter, ids: Tensor, values: Tensor) -> None:
        self._pieces[id(table)].setdefault(name, []).append((ids, values))

    def _used(
        self, table: nn.Parameter, names: Sequence[str], total: Callable[[Tensor], Tensor], processes: int
    ) -> Tensor:
        pieces = [ids for name in names for ids, _ in self._pieces[id(table)].get(name, ())]
        if processes == 1:
            return _ascending(torch.cat(pieces)) if pieces else torch.zeros(0, dtype=torch.int64)
        marks = torch.zeros(len(table), device=table.device)
        for ids in pieces:
            marks[ids] = 1
        return total(marks).nonzero().flatten()


def learned(lookup: Lookup, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that were read and their gradients, one below the other; a row for padding learns nothing."""
    ids = lookup.ids.reshape(-1)
    return ids, gradient.reshape(len(ids), -1) * (ids != lookup.padding)[:, None]


def _ascending(ids: Tensor) -> Tensor:
    """Each of some numbers once."""
    return cast(Tensor, torch.unique(ids))
