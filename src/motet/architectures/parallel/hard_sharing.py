"""One trunk for all tasks and a head for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key, writes
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, below_one, nearest, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["HardSharing", "task_layers"]


@register("architecture", "hard_sharing")
@dataclass(frozen=True, kw_only=True)
class HardSharing(Architecture):
    """One trunk for all tasks and a head for each.

    Source: Caruana 1997, "Multitask Learning"; Collobert, Weston 2008, "A Unified Architecture for Natural Language
    Processing"; a layer per task: Søgaard, Goldberg 2016, "Deep multi-task learning with low level tasks supervised
    at lower layers".

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        read_layer: the trunk layer that a task reads (1 is the first); by default the last.
        task_layers: transformer layers of a task's own between trunk and head.
        dropout: before the last linear layer of each head.

    Example:
        >>> HardSharing(read_layer={"tags": 3}, task_layers={"rating": 1}).pooling
        'auto'
    """

    pooling: Pooling = "auto"
    read_layer: Mapping[str, int] = field(default_factory=dict)
    task_layers: Mapping[str, int] = field(default_factory=dict)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(below_one(dropout=self.dropout))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for option in ("read_layer", "task_layers"):
            for name, count in getattr(self, option).items():
                place = f"architecture.{option}.{name}"
                if name not in tasks:
                    yield Problem(place, f"names no task. {nearest(name, tasks)}")
                elif writes(tasks[name]):
                    yield Problem(place, "is for tasks with a head of their own; this one writes with the whole trunk")
                elif option == "read_layer" and not 1 <= count <= trunk.depth:
                    yield Problem(place, f"must be 1 to {trunk.depth}", str(count))
                elif count < 0:
                    yield Problem(place, "must be at least 0", str(count))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _HardSharing(self, trunk, tasks)


class _HardSharing(Arrangement):
    def __init__(self, part: HardSharing, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.read_layer = dict(part.read_layer)
        layers = {name: task_layers(trunk, count) for name, count in part.task_layers.items() if count}
        self.layers = nn.ModuleDict({key(name): stack for name, stack in layers.items()})

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        inner = any(name in self.read_layer for name in chunk.owned)
        read = self.read(chunk, inner=inner)
        logits = {}
        for name in chunk.owned:
            states = None if read is None else read.after(self.read_layer.get(name))
            if key(name) in self.layers:
                states = self.layers[key(name)](states, src_key_padding_mask=chunk.mask == 0)
            logits[name] = self.heads.answer(name, self.trunk, states, chunk)
        return logits

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.layers:
            yield from self.layers[key(task)].parameters()


def task_layers(trunk: Trunk, count: int) -> nn.TransformerEncoder:
    """Fresh transformer layers of the size of a trunk's."""
    # the heads of some trunks (flan-t5-small) do not share the width evenly; these layers' must
    heads = next(heads for heads in range(trunk.heads, 0, -1) if trunk.width % heads == 0)
    layer = nn.TransformerEncoderLayer(
        trunk.width,
        heads,
        dim_feedforward=trunk.intermediate,
        dropout=trunk.dropout,
        activation="gelu",
        batch_first=True,
    )
    return nn.TransformerEncoder(layer, count, enable_nested_tensor=False)
