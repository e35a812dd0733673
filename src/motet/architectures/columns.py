"""Columns: stacks of layers that begin as copies of the trunk's, each reading for a task or a group of tasks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from motet.architectures.heads import key
from motet.data.batches import Chunk
from motet.encoders.layers import borrowed, hidden, replaced
from motet.encoders.trunk import States, Trunk

__all__ = ["Columns"]

Mix = Callable[[int, dict[str, Tensor]], dict[str, Tensor]]


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

    def read(self, name: str, trunk: Trunk, chunk: Chunk, *, inner: bool = False) -> States:
        """What a column makes of a chunk; a name without layers of its own reads with the trunk."""
        if name not in self:
            states: States = trunk(chunk.tokens, chunk.mask, chunk.types, inner=inner)
            return states
        with borrowed(trunk, list(self.stack(name)), self.first):
            return trunk(chunk.tokens, chunk.mask, chunk.types, inner=inner)  # type: ignore[no-any-return]

    def together(self, trunk: Trunk, chunk: Chunk, own: str, mix: Mix) -> dict[str, Tensor]:
        """What all columns make of a chunk, layer by layer and in step, the trunk being one of them.

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
