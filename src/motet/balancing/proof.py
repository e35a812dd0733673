"""A proof at the first step: what was taken apart is, put together again, what autograd finds by itself."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from motet.balancing.rows import Rows
from motet.errors import RunError

__all__ = ["require_sum"]

_TOLERANCE = {"fp32": 1e-3}
_COARSE = 5e-2  # products in bfloat16 have eight bits, and are added in another order
_GROUND = 1e-2  # gradients far below the longest are made of its rounding, so this part of it counts too


def require_sum(rows: Rows, names: Mapping[int, str], whole: Tensor, precision: str) -> None:
    """Refuse to go on where task gradients are not what the model has.

    It costs one more backward pass, and next to no memory: every gradient is looked at and forgotten.

    Args:
        rows: with the gradients of one batch; lookups must not have been forgotten.
        names: of parameters, by their `id`.
        whole: the sum of the losses that the rows were taken from, with its graph.
        precision: of the products.

    Raises:
        RunError: the rows of some parameter do not add up to its gradient.
    """
    long, off = _compared(rows, whole)
    ground = _GROUND * max(float(length) for length in long.values())
    for p in [*rows.parameters, *rows.tables.parameters]:
        most = _TOLERANCE.get(precision, _COARSE) * (float(long[id(p)]) + ground)
        if float(off[id(p)]) > most:  # not where it is nan: the rule will say so
            raise RunError(_complaint(names.get(id(p), f"a shared parameter of shape {list(p.shape)}"), off[id(p)]))


def _compared(rows: Rows, whole: Tensor) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """By parameter, the length of its longest row, and how far the rows are from the gradient of the whole."""
    parts = {id(p): part for p, part in rows.parts()}
    long = {key: torch.linalg.vector_norm(part, dim=1).max() for key, part in parts.items()}
    off = {key: part.sum(dim=0).norm() for key, part in parts.items()}  # of those that the whole does not reach

    def look(p: Tensor) -> None:
        if p.grad is not None:
            off[id(p)] = (parts[id(p)].sum(dim=0) - p.grad.flatten()).norm()
            p.grad = None

    handles = [p.register_post_accumulate_grad_hook(look) for p in rows.parameters]  # type: ignore[no-untyped-call]
    leaves = [lookup.above for lookup in rows.tables.lookups]
    whole.backward(inputs=[*rows.parameters, *rows.tables.parameters, *leaves])  # type: ignore[no-untyped-call]
    for handle in handles:
        handle.remove()
    for p in rows.tables.parameters:
        long[id(p)], off[id(p)] = _compared_table(rows, p)
    return long, off


def _compared_table(rows: Rows, table: nn.Parameter) -> tuple[Tensor, Tensor]:
    """The length of the sum of the rows of a table, and how far it is from its gradient, lookups sewn on again."""
    ids, off = rows.tables.summed(table)
    long, beyond = off.norm(), torch.zeros_like(off[:0].sum())
    gradients = [] if table.grad is None else [table.grad]
    table.grad = None
    lookups = [one for one in rows.tables.lookups if one.table is table and one.above.grad is not None]
    sewn = (torch.autograd.grad(one.below, table, one.above.grad)[0] for one in lookups)
    for gradient in itertools.chain(gradients, sewn):
        off -= gradient[ids]
        beyond += gradient.norm() - gradient[ids].norm()
    return long, off.norm() + beyond


def _complaint(name: str, off: Tensor) -> str:
    return (
        f"the task gradients of `{name}` do not add up to its gradient under the summed losses (they are off by "
        f"{float(off):.1e}), so a rule on them would be wrong. Something in the model changes when it is passed "
        f"through backwards once a task. Use a balance of losses, or `where: representation`."
    )
