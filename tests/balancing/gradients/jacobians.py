"""Gradients to try rules on: friendly ones, and every kind that has broken a rule somewhere."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_lowercase

import torch
from hypothesis import strategies
from torch import Tensor

WIDTH = 8

Change = Callable[[Tensor], Tensor]


def _conflicting(rows: Tensor) -> Tensor:
    half = len(rows) // 2
    return torch.cat([rows[:half], 0.3 * rows[half:] - rows[: len(rows) - half]])


def _dependent(rows: Tensor) -> Tensor:
    return rows @ torch.diag((torch.arange(WIDTH) < max(1, len(rows) // 2)).double())


def _with_first(value: Callable[[Tensor], Tensor]) -> Change:
    return lambda rows: torch.cat([value(rows)[None], rows[1:]])


CHANGES: dict[str, Change] = {
    "random": lambda rows: rows,
    "agreeing": lambda rows: rows + 3,
    "conflicting": _conflicting,
    "dependent": _dependent,
    "on one line": lambda rows: rows[:, :1] * torch.ones(1, WIDTH, dtype=rows.dtype),
    "summing to zero": lambda rows: rows - rows.mean(dim=0),
    "of six scales": lambda rows: rows * torch.logspace(-3, 3, len(rows), dtype=rows.dtype)[:, None],
    "one zero": _with_first(lambda rows: 0 * rows[0]),
    "all zero": lambda rows: 0 * rows,
    "one small": _with_first(lambda rows: 1e-4 * rows[0]),
    "one tiny": _with_first(lambda rows: 1e-15 * rows[0]),
    "two equal": _with_first(lambda rows: rows[-1]),
    "two opposite": _with_first(lambda rows: -rows[-1]),
    "two nearly opposite": _with_first(lambda rows: 1e-9 * rows[0] - rows[-1]),
    "in single precision": lambda rows: rows.float().double(),
}


def names(count: int) -> list[str]:
    return list(ascii_lowercase[:count])


def jacobian(kind: str, tasks: int = 4, seed: int = 0) -> Tensor:
    """A gradient in each row, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return CHANGES[kind](torch.randn(tasks, WIDTH, generator=generator, dtype=torch.float64))


@strategies.composite
def jacobians(
    draw: strategies.DrawFn, kinds: tuple[str, ...] = tuple(CHANGES), fewest: int = 1, scales: bool = True
) -> Tensor:
    """Gradients of any kind, number and scale."""
    rows = jacobian(
        draw(strategies.sampled_from(kinds)),
        draw(strategies.integers(fewest, 6)),
        draw(strategies.integers(0, 10_000)),
    )
    scale: float = 10.0 ** draw(strategies.integers(-10, 15)) if scales else 1.0
    return rows * scale


def friendly(fewest: int = 2) -> strategies.SearchStrategy[Tensor]:
    """Independent gradients of moderate length, in which no rounding matters."""
    return jacobians(("random", "agreeing", "conflicting"), fewest, scales=False)
