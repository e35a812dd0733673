"""The gradients of a step, one in each row of a matrix that is kept from step to step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from motet.balancing.tables import Block, Tables

__all__ = ["HELD", "Rows", "gramian", "layers_of"]

HELD = ""
"""The row of what no rule sees and is added as it is: held tasks, penalties. No task has this name."""

_PIECE = 1 << 18  # columns that are added up at a time
_COLUMNS = 1 << 16  # a product of so many columns is exact enough in float32; their sum is taken in float64


class Rows:
    """Gradients of the same parameters: 4 bytes a number, and little for embedding matrices, see `Tables`.

    Columns lie in groups, those of a group side by side: first what is in no layer, then layer by layer.

    Args:
        trunk: in which embedding matrices and layers are looked for.
        parameters: those of the columns; frozen ones are left out.
        most: tasks that there may be in a step.
        whole: whether embedding matrices are columns like all others.
        layered: whether each layer of the trunk is a group; otherwise there is one group.

    Attributes:
        columns: numbers in a row, without embedding matrices.
        spans: the columns of each group.
    """

    def __init__(
        self,
        trunk: nn.Module,
        parameters: Sequence[nn.Parameter],
        most: int,
        *,
        whole: bool = False,
        layered: bool = False,
    ) -> None:
        trained = self._trained = [p for p in parameters if p.requires_grad]
        self.tables = Tables(trunk, [] if whole else trained)
        tabled = {id(p) for p in self.tables.parameters}
        groups = _grouped(trunk if layered else nn.Module(), [p for p in trained if id(p) not in tabled])
        self.parameters = [p for group in groups for p in group]
        self.columns = sum(p.numel() for p in self.parameters)
        self._most = most
        self.spans = _spans(sum(p.numel() for p in group) for group in groups)
        self._matrix = torch.empty(0, self.columns)
        self._names: list[str] = []
        self._empty: set[str] = set()
        self._touched = [False] * len(self.parameters)
        self._blocks: list[Block] = []
        self._added: list[Block] = []

    def fit(self, parameters: Sequence[nn.Parameter]) -> bool:
        """Whether the same of these are trained as when the rows were made."""
        return [id(p) for p in parameters if p.requires_grad] == [id(p) for p in self._trained]

    def clear(self) -> None:
        """Forget the gradients of this step; the matrix stays."""
        self.tables.clear()
        self._names, self._empty, self._blocks, self._added = [], set(), [], []
        self._touched = [False] * len(self.parameters)

    def allot(self, names: Iterable[str]) -> None:
        """Make place for gradients; those that have a row keep it."""
        new = [name for name in names if name not in self._names]
        self._names += new
        self._empty.update(new)
        if len(self._names) > len(self._matrix):
            more = max(self._most, len(self._names)) - len(self._matrix)
            device = self._trained[0].device  # only by now are the parameters where they stay
            self._matrix = torch.cat([self._matrix.to(device), torch.empty(more, self.columns, device=device)])

    @torch.no_grad()
    def take(self, name: str) -> None:
        """Move what a backward pass has left in the parameters into a row that was allotted."""
        self.tables.take(name)
        row, found = self._row(name), [p.grad for p in self.parameters]
        self._touched = [before or g is not None for before, g in zip(self._touched, found, strict=True)]
        if name in self._empty:
            torch.cat([row.new_zeros(0), *(_flat(g, p) for g, p in zip(found, self.parameters, strict=True))], out=row)
            self._empty.discard(name)
        else:
            for part, g in zip(self._split(row), found, strict=True):
                if g is not None:
                    part += g
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def gather(self, total: Callable[[Tensor], Tensor], processes: int) -> None:
        """Make rows what they are over all processes, each of which has the same rows allotted in the same order."""
        for name in self._empty:
            self._row(name).zero_()
        if processes > 1:
            for row in self._matrix[: len(self._names)]:
                row.copy_(total(row))
            flags = total(torch.tensor(self._touched, dtype=torch.float32, device=self._matrix.device))
            self._touched = [count > 0 for count in flags.tolist()]
        self._blocks = self.tables.blocks(self.names, total, processes)
        self._added = self.tables.blocks([HELD], total, processes)

    @property
    def names(self) -> list[str]:
        """The tasks that learn in this step, in the order of the alphabet."""
        return sorted(name for name in self._names if name != HELD)

    def of(self, names: Sequence[str]) -> Tensor:
        """Some rows, one below the other."""
        places = [self._names.index(name) for name in names]
        return self._matrix[: len(places)] if places == list(range(len(places))) else self._matrix[places]

    @torch.no_grad()
    def gramians(self) -> Tensor:
        """Dot products of the gathered rows of the tasks that learn, by group, ``[groups, names, names]``, float64."""
        rows = self.of(self.names)
        found = torch.stack([gramian(rows[:, span]) for span in self.spans])
        for block in self._blocks:
            found[0] += gramian(block.values.flatten(1))
        return found

    @torch.no_grad()
    def combine(self, weights: Tensor) -> None:
        """Leave the weighted sum of the gathered rows in the parameters.

        Args:
            weights: of the tasks that learn, by group, ``[groups, names]``.
        """
        weights, rows = weights.to(self._matrix), self.of(self.names)
        # In the place of the first row, a piece at a time: another matrix row would have to come from somewhere.
        update = rows[0] if len(rows) else self._matrix.new_zeros(self.columns)
        for of_group, span in zip(weights, self.spans, strict=True):
            for piece in torch.split(rows[:, span], _PIECE, dim=1) if len(rows) else ():
                piece[0] = of_group @ piece
        self.put(update)
        for block in self._blocks:
            _add_rows(block, torch.tensordot(weights[0], block.values, 1))
        for block in self._added:
            _add_rows(block, block.values[0])

    @torch.no_grad()
    def put(self, update: Tensor) -> None:
        """Leave an update, ``[columns]``, and what is held in the parameters that some gradient has reached."""
        if HELD in self._names:
            update += self._row(HELD)
        for p, part, touched in zip(self.parameters, self._split(update), self._touched, strict=True):
            p.grad = part.to(p.dtype) if touched else None

    def parts(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """The rows of this process cut up by parameter, without embedding matrices."""
        here = self.of([name for name in self._names if name not in self._empty])
        yield from zip(self.parameters, torch.split(here, [p.numel() for p in self.parameters], dim=1), strict=True)

    def _row(self, name: str) -> Tensor:
        return self._matrix[self._names.index(name)]

    def _split(self, flat: Tensor) -> list[Tensor]:
        pieces = torch.split(flat, [p.numel() for p in self.parameters])
        return [piece.view_as(p) for piece, p in zip(pieces, self.parameters, strict=True)]


def gramian(rows: Tensor) -> Tensor:
    """Dot products of some vectors in float64, where the vectors are.

    Example:
        >>> gramian(torch.tensor([[1.0, 0.0], [1.0, 2.0]])).tolist()
        [[1.0, 1.0], [1.0, 5.0]]
    """
    many = rows.shape[1] // _COLUMNS
    whole, rest = rows[:, : many * _COLUMNS], rows[:, many * _COLUMNS :]
    pieces = whole.view(len(rows), many, _COLUMNS).transpose(0, 1) if many else rows.new_zeros(0, len(rows), 1)
    return torch.bmm(pieces, pieces.mT).double().sum(dim=0) + (rest @ rest.T).double()


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of every stack in a module; what is stacked within a layer is part of it."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from layers_of(child)


def _grouped(trunk: nn.Module, parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """First the parameters that are in no layer, then those of each."""
    layer_of = {id(p): number for number, layer in enumerate(layers_of(trunk), 1) for p in layer.parameters()}
    groups: dict[int, list[nn.Parameter]] = {0: []}
    for p in parameters:
        groups.setdefault(layer_of.get(id(p), 0), []).append(p)
    return [groups[number] for number in sorted(groups)]


def _spans(sizes: Iterable[int]) -> list[slice]:
    return [slice(*ends) for ends in itertools.pairwise(itertools.accumulate(sizes, initial=0))]


def _add_rows(block: Block, update: Tensor) -> None:
    """Add to the gradient of a table."""
    if block.table.grad is None:
        block.table.grad = torch.zeros_like(block.table)
    block.table.grad[block.ids] += update.to(block.table)


def _flat(gradient: Tensor | None, parameter: nn.Parameter) -> Tensor:
    return parameter.new_zeros(()).expand(parameter.numel()) if gradient is None else gradient.reshape(-1)
