"""Arrangements whose trunk computes differently for each task: every row is read once for each task that owns it.

Modules of tasks sit inside the layers of the trunk, as hooks, so that the trunk stays what transformers knows and
saves. During a pass a `Route` tells them which rows belong to which task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.heads import Heads, key
from motet.data.batches import Chunk
from motet.encoders.layers import has_layers, hidden, products, replaced, sites
from motet.encoders.trunk import Trunk
from motet.errors import Problem
from motet.tasks.base import Task

__all__ = ["Inserted", "Route", "Routed", "lacking", "site", "spread", "without_cache"]


class Route:
    """Which rows of the pass that is running belong to which task.

    Attributes:
        segments: tasks with their rows, which lie one after the other; empty outside of passes.
        mask: 1 where the trunk was last given a token, ``[rows, length]``.
    """

    def __init__(self) -> None:
        self.segments: list[tuple[str, slice]] = []
        self.mask: Tensor | None = None

    def follow(self, trunk: Trunk) -> None:
        """Know the mask of every pass of a trunk, also of those in which it writes."""
        trunk.reader.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, reader: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.mask = kwargs.get("attention_mask")
        if self.mask is None:  # transformers drops one that hides nothing
            self.mask = torch.ones_like(args[0] if args else kwargs["input_ids"])

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
        shared: a module that is called in the same way, with all rows, before those of the tasks.
    """

    def __init__(self, route: Route, tasks: Mapping[str, nn.Module], *, shared: nn.Module | None = None) -> None:
        super().__init__()
        self.route = route
        self.of = nn.ModuleDict({key(name): module for name, module in tasks.items()})
        self.shared = shared

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        """States ``[rows, length, width]``, each row changed by the module of its task."""
        if self.shared is not None:
            states = self.shared(given, states)
        segments = self.route.segments
        if not any(self.changes(task) for task, _ in segments):
            return states
        parts = [
            self.changed(task, rows, given[rows], states[rows]) if self.changes(task) else states[rows]
            for task, rows in segments
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def changes(self, task: str) -> bool:
        """Whether there is anything here for a task."""
        return key(task) in self.of

    def changed(self, task: str, rows: slice, given: Tensor, states: Tensor) -> Tensor:
        """The states of the rows of one task, changed.

        Args:
            task: that owns the rows.
            rows: which they are of those of the pass.
            given: what went into the module of the trunk.
            states: what came out.
        """
        found: Tensor = self.of[key(task)](given, states)
        return found

    def enter(self, module: nn.Module) -> None:
        """Stand behind a module of the trunk from now on."""
        module.register_forward_hook(self._after)  # a bound method, which a copy of the model takes along

    def precede(self, module: nn.Module) -> None:
        """Stand before a module of the trunk from now on; what it is given counts as what came out."""
        module.register_forward_pre_hook(self._before)

    def _after(self, module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        return replaced(output, self(given[0], hidden(output))) if self.route.segments else output

    def _before(self, module: nn.Module, given: tuple[Any, ...]) -> Any:
        return (self(given[0], given[0]), *given[1:]) if self.route.segments else given


class Routed(Arrangement):
    """An arrangement whose trunk computes differently for each task.

    Whatever is held outside of the trunk under the `key` of a task serves that task alone.

    Args:
        trunk: into which modules are inserted.
        heads: of the tasks.
        freeze: whether the trunk keeps its weights.

    Attributes:
        route: says which rows of a pass belong to which task.
        inserted: what stands in the trunk, from below.
    """

    one_pass: ClassVar[bool] = False

    def __init__(self, trunk: Trunk, heads: Heads, *, freeze: bool = False) -> None:
        super().__init__(trunk, heads)
        if freeze:
            trunk.requires_grad_(False)
        self.route = Route()
        self.inserted = nn.ModuleList()

    def insert(self, inserted: Inserted, *, behind: nn.Module | None = None, before: nn.Module | None = None) -> None:
        """Put something behind a module of the trunk, or before one."""
        self.inserted.append(inserted)
        if behind is not None:
            inserted.enter(behind)
        if before is not None:
            inserted.precede(before)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        for name, parameter in self.named_parameters():
            if not name.startswith("trunk.") and key(task) in name.split("."):
                yield parameter

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        chunk, segments = spread(chunk)
        with self.route.through(segments):
            read = self.read(chunk)
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
        rows = slice(end, end + own.rows.shape[0])
        words = own.words
        if words is not None:
            whole = own.rows.shape[0] == chunk.tokens.shape[0]
            within = words[0] if whole else torch.searchsorted(own.rows, words[0])
            words = torch.stack([end + within, words[1]])
        owned[name] = replace(own, rows=torch.arange(rows.start, rows.stop, device=own.rows.device), words=words)
        segments.append((name, rows))
        end = rows.stop
    if len(segments) == 1 and end == chunk.tokens.shape[0]:
        return chunk, [(segments[0][0], slice(None))]
    every = torch.cat([own.rows for own in chunk.owned.values()])
    types = None if chunk.types is None else chunk.types[every]
    return replace(chunk, tokens=chunk.tokens[every], mask=chunk.mask[every], types=types, owned=owned), segments


def site(layer: nn.Module, name: str) -> nn.Module:
    """A product of a layer, by what it is for or else by its name in the layer.

    Args:
        layer: of a trunk.
        name: a `Role`, or a name among its `products`.

    Raises:
        KeyError: the layer has none.
    """
    return _products(layer)[name]


def _products(layer: nn.Module) -> dict[str, nn.Module]:
    """The products of a layer by their roles and by their names."""
    return {**products(layer), **{str(role): product for role, product in sites(layer).items()}}


def lacking(trunk: Trunk, names: Iterable[str], place: str) -> Iterator[Problem]:
    """What keeps modules out of a trunk.

    Args:
        trunk: into which they are to go.
        names: the products that each of its layers must have.
        place: of the option that asks for them.
    """
    if not has_layers(trunk):
        yield Problem(place, "needs layers that are modules of their own; this encoder passes one several times")
        return
    common = set.intersection(*(set(_products(layer)) for layer in trunk.layers))
    there = [name for name in _products(trunk.layers[0]) if name in common]
    for name in names:
        if name not in common:
            rule = f"takes the product `{name}`, which the layers of this encoder do not all have"
            yield Problem(place, rule, remedy=f"They have: {', '.join(there)}.")


@contextmanager
def without_cache(trunk: Trunk) -> Iterator[None]:
    """Writing that reads the whole text again for every word, since what is inserted looks back at all of it."""
    config: Any = trunk.model.generation_config
    before, config.use_cache = config.use_cache, False
    try:
        yield
    finally:
        config.use_cache = before
