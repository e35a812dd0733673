"""Columns: stacks of layers that begin as copies of the trunk's, each reading for a task or a group of tasks."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, answering, key
from motet.architectures.reading import Reading
from motet.data.batches import Chunk
from motet.encoders.layers import borrowed, has_layers, hidden, replaced
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, at_least, below_one, positive, require
from motet.tasks.base import Task

__all__ = ["Beside", "Columned", "Columns", "InStep", "of_column"]

Mix = Callable[[int, dict[str, Tensor]], dict[str, Tensor]]
_BYTES = 16  # of a weight that is trained: itself, its gradient and two moments of the optimiser


class Columns(nn.Module):
    """Copies of the upper layers of a trunk, which share everything below and around with it.

    Args:
        trunk: copied.
        names: of the columns.
        first: position of the first layer that each column has of its own.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(
        ...     vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
        ... )
        >>> columns = Columns(Trunk(BertModel(config)), ["a", "b"], first=1)
        >>> len(list(columns.of("a"))), columns.first
        (16, 1)
    """

    def __init__(self, trunk: Trunk, names: Iterable[str], first: int = 0) -> None:
        super().__init__()
        own = trunk.layers[first:]
        self.first = first
        self.names = list(names)
        self.stacks = nn.ModuleDict({key(name): copy.deepcopy(own) for name in self.names})

    def __contains__(self, name: str) -> bool:
        return key(name) in self.stacks

    def stack(self, name: str) -> nn.ModuleList:
        """The layers of a column."""
        found: Any = self.stacks[key(name)]
        return found  # type: ignore[no-any-return]

    def of(self, name: str) -> Iterable[nn.Parameter]:
        """The parameters of a column; none where it has no layers of its own."""
        return self.stack(name).parameters() if name in self else ()

    def standing_in(self, name: str, trunk: Trunk) -> AbstractContextManager[None]:
        """Passes of the trunk with the layers of a column; a name without any leaves the trunk as it is."""
        return borrowed(trunk, list(self.stack(name)), self.first) if name in self else nullcontext()

    def read(self, name: str, trunk: Trunk, chunk: Chunk, *, inner: bool = False) -> States:
        """What a column makes of a chunk; a name without layers of its own reads with the trunk."""
        with self.standing_in(name, trunk):
            return trunk(chunk.tokens, chunk.mask, chunk.types, inner=inner)  # type: ignore[no-any-return]

    def together(self, trunk: Trunk, chunk: Chunk, own: str, mix: Mix) -> dict[str, Tensor]:
        """What all columns make of a chunk, layer by layer and in step, the trunk being one of them.

        Whatever else a layer of the trunk is given, such as the mask, goes to those beside it too. So a layer that
        hands more than states to the next one, as the positions of T5, does so for all columns.

        Args:
            trunk: its own layers are the column `own`.
            chunk: every column reads all of it.
            own: a name that has no layers here.
            mix: given the position of a layer and what it returns in each column, says what the next layers read.

        Returns:
            The last states ``[rows, length, width]`` by column.
        """
        names = [own, *self.names]
        states: dict[str, Tensor] = {}
        last = len(trunk.layers) - 1

        def follow(place: int) -> Callable[..., Any]:
            def after(layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
                begun = args[0] if args else kwargs["hidden_states"]
                found = {own: hidden(output)}
                for name in names[1:]:
                    given = states.get(name, begun)
                    # a copy of the hidden states takes the place of the trunk's, whatever the way they are given
                    again = (given, *args[1:]) if args else ()
                    named = kwargs if args else {**kwargs, "hidden_states": given}
                    found[name] = hidden(self.stack(name)[place - self.first](*again, **named))
                states.update(mix(place, found))
                if place < last:
                    return replaced(output, states[own])
                return replaced(output, torch.cat([states[name] for name in names]))  # norms behind the layers see all

            return after

        handles = [
            layer.register_forward_hook(follow(place), with_kwargs=True)
            for place, layer in enumerate(trunk.layers)
            if place >= self.first
        ]
        try:
            read: States = trunk(chunk.tokens, chunk.mask, chunk.types)
        finally:
            for handle in handles:
                handle.remove()
        return dict(zip(names, read.last.chunk(len(names)), strict=True))


@dataclass(frozen=True, kw_only=True)
class Columned(Architecture):
    """An architecture that copies the upper layers of the trunk.

    Args:
        shared_layers: bottom layers of the trunk that are common to all; with 0, only the embeddings are.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.
        most_memory: GiB that what is added may take while it is trained: 16 bytes for every weight, its gradient and
            the two moments of the optimiser. An architecture that would take more is refused.
    """

    shared_layers: int = 0
    pooling: Pooling = "auto"
    dropout: float = 0.1
    most_memory: float = 24.0

    def __post_init__(self) -> None:
        require(self.faults())

    def faults(self) -> Iterator[Problem]:
        """Options that are wrong for any trunk."""
        yield from at_least(0, shared_layers=self.shared_layers)
        yield from below_one(dropout=self.dropout)
        yield from positive(most_memory=self.most_memory)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        if not has_layers(trunk):
            rule = "must have layers that are modules of their own; this one passes a layer several times"
            yield Problem("encoder.name", rule, remedy="Take another encoder, or another architecture.")
        elif self.shared_layers >= trunk.depth:
            yield Problem("architecture.shared_layers", f"must be 0 to {trunk.depth - 1}", str(self.shared_layers))
        else:
            yield from self.misfits(tasks, trunk)
            yield from self._too_large(tasks, trunk)

    def misfits(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        """What does not fit the tasks, or a trunk with enough layers."""
        return ()

    @abstractmethod
    def copies(self, tasks: Mapping[str, Task]) -> int:
        """How many columns are made."""

    def more(self, tasks: Mapping[str, Task], trunk: Trunk) -> int:
        """How many weights are added besides columns and heads, where they are many."""
        return 0

    def _too_large(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterator[Problem]:
        column = sum(p.numel() for p in trunk.layers[self.shared_layers :].parameters())
        copies, more = self.copies(tasks), self.more(tasks, trunk)
        needed = _BYTES * (copies * column + more) / 2**30
        if needed > self.most_memory:
            what = f"{copies} columns of {column / 1e6:.1f} million weights"
            what += f" and {more / 1e6:.1f} million more" if more else ""
            rule = f"is less than the {needed:.3g} GiB that {what} take while they are trained"
            remedy = "Share more layers, or raise it."
            yield Problem("architecture.most_memory", rule, f"{self.most_memory:g}", remedy)


class Beside(Reading):
    """One pass of the trunk for all rows, and beside it a column for each task with a head, for its own rows.

    Args:
        trunk: shared.
        heads: of the tasks.
        tasks: by name.
        first: position of the first layer that a column has of its own.
    """

    one_pass: ClassVar[bool] = False

    def __init__(self, trunk: Trunk, heads: Heads, tasks: Mapping[str, Task], first: int) -> None:
        super().__init__(trunk, heads)
        self.columns = Columns(trunk, answering(tasks), first)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        yield from self.columns.of(task)

    def pretrained_parameters(self) -> Iterable[nn.Parameter]:
        yield from super().pretrained_parameters()
        yield from self.columns.parameters()


class InStep(Arrangement):
    """A column for each task with a head; all read every row, in step, with an exchange after each layer.

    The layers of the trunk are the column of the first of these tasks. Since every column serves every task, none is
    a task's own. Tasks that write, or guess what comes next, do so with the trunk as it is.

    Args:
        trunk: whose upper layers are copied.
        heads: of the tasks.
        tasks: by name.
        first: position of the first layer that a column has of its own.

    Attributes:
        names: of the tasks with columns.
        depth: layers of a column.
    """

    one_pass: ClassVar[bool] = False

    def __init__(self, trunk: Trunk, heads: Heads, tasks: Mapping[str, Task], first: int) -> None:
        super().__init__(trunk, heads)
        self.names = answering(tasks)
        self.columns = Columns(trunk, self.names[1:], first)
        self.depth = trunk.depth - first

    @abstractmethod
    def mix(self, place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """What columns exchange.

        Args:
            place: of a layer among those of a column.
            found: the states that it returns in each column, ``[rows, length, width]``.

        Returns:
            What the next layer reads in each column, or the head behind the last one.
        """

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        read: dict[str, Tensor] = {}
        if any(name in self.names for name in chunk.owned):
            read = self.columns.together(self.trunk, chunk, self.names[0], self._mix)
        return {
            name: self.heads.answer(name, self.trunk, read[name], chunk) if name in read else self._said(name, chunk)
            for name in chunk.owned
        }

    def pretrained_parameters(self) -> Iterable[nn.Parameter]:
        yield from super().pretrained_parameters()
        yield from self.columns.parameters()

    def _mix(self, place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.mix(place - self.columns.first, found)

    def _said(self, name: str, chunk: Chunk) -> Tensor:
        """The logits of a task that writes."""
        part = chunk.part(name)
        return self.answers(part, self.read(part))[name]


def of_column(layers: Iterable[int], shared: int, depth: int, place: str) -> Iterator[Problem]:
    """Layers, 1 being the first, that are not among those that columns have of their own."""
    for layer in layers:
        if not shared < layer <= depth:
            yield Problem(place, f"must be {shared + 1} to {depth}", str(layer))
