"""Arrangements whose trunk computes differently for each task: every row is read once for each task that owns it.

Modules of tasks sit inside the layers of the trunk, as hooks, so that the trunk stays what transformers knows and
saves. During a pass a `Route` tells them which rows belong to which task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.heads import Heads, key
from motet.data.batches import Chunk
from motet.encoders.layers import hidden, replaced
from motet.encoders.trunk import States, Trunk
from motet.tasks.base import Task

__all__ = ["Inserted", "Route", "Routed", "spread"]


class Route:
    """Which rows of the pass that is running belong to which task.

    Attributes:
        segments: tasks with their rows, which lie one after the other; empty outside of passes.
    """

    def __init__(self) -> None:
        self.segments: list[tuple[str, slice]] = []

    @contextmanager
    def through(self, segments: Sequence[tuple[str, slice]]) -> Iterator[None]:
        """A pass of rows that belong to these tasks."""
        before, self.segments = self.segments, list(segments)
        try:
            yield
        finally:
            self.segments = before

    def alone(self, task: str) -> Any:
        """A pass of rows that all belong to one task."""
        return self.through([(task, slice(None))])


class Inserted(nn.Module):
    """What is added to a module of the trunk, for each task by itself.

    Called with what the module was given and what it returned; returns states in the place of the latter.

    Args:
        route: of the arrangement.
        tasks: a module for each, by name; a task without one is left as it is. Each is called with the rows of its
            task: what went into the module of the trunk, and what came out.
    """

    def __init__(self, route: Route, tasks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.route = route
        self.of = nn.ModuleDict({key(name): module for name, module in tasks.items()})

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        """States ``[rows, length, width]``, each row changed by the module of its task."""
        if not any(key(task) in self.of for task, _ in self.route.segments):
            return states
        parts = [
            self.of[key(task)](given[rows], states[rows]) if key(task) in self.of else states[rows]
            for task, rows in self.route.segments
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def enter(self, module: nn.Module) -> None:
        """Stand behind a module of the trunk from now on."""
        module.register_forward_hook(self._after)  # a bound method, which a copy of the model takes along

    def _after(self, module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        return replaced(output, self(given[0], hidden(output))) if self.route.segments else output


class Routed(Arrangement):
    """An arrangement whose trunk computes differently for each task.

    Args:
        trunk: into which modules are inserted.
        heads: of the tasks.
    """

    one_pass: ClassVar[bool] = False

    def __init__(self, trunk: Trunk, heads: Heads) -> None:
        super().__init__(trunk, heads)
        self.route = Route()

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        chunk, segments = spread(chunk)
        read: States | None = None
        if self.heads.reads(self.trunk, chunk):
            with self.route.through(segments):
                read = self.trunk(chunk.tokens, chunk.mask, chunk.types)
        logits = {}
        for name in chunk.owned:
            with self.route.alone(name):
                logits[name] = self.heads.answer(name, self.trunk, None if read is None else read.last, chunk)
        return logits

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        with self.route.alone(task.name):
            return super().write(chunk, task)


def spread(chunk: Chunk) -> tuple[Chunk, list[tuple[str, slice]]]:
    """A chunk in which every row belongs to one task, those of a task one after the other.

    Returns:
        The chunk, and the rows of each task in it.
    """
    segments: list[tuple[str, slice]] = []
    owned, end = {}, 0
    for name, own in chunk.owned.items():
        rows = slice(end, end + len(own.rows))
        words = own.words
        if words is not None:
            words = torch.stack([end + torch.searchsorted(own.rows, words[0]), words[1]])
        owned[name] = replace(own, rows=torch.arange(rows.start, rows.stop, device=own.rows.device), words=words)
        segments.append((name, rows))
        end = rows.stop
    if len(segments) == 1 and end == len(chunk.tokens):
        return chunk, [(segments[0][0], slice(None))]
    every = torch.cat([own.rows for own in chunk.owned.values()])
    types = None if chunk.types is None else chunk.types[every]
    return replace(chunk, tokens=chunk.tokens[every], mask=chunk.mask[every], types=types, owned=owned), segments
