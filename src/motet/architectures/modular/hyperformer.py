"""Adapters whose weights one network generates for every task and every place in the trunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.routing import Inserted, Route, Routed, lacking
from motet.encoders.layers import Role, sites
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Hyperformer"]

_ROLES: tuple[Role, ...] = ("attention", "outer")


@register("architecture", "hyperformer")
@dataclass(frozen=True, kw_only=True)
class Hyperformer(Architecture):
    """Adapters generated for each task: h + LN(U GELU(D h)), with all weights linear in LN(MLP([e_t; e_l; e_b])).

    e_t is an embedding of the task, e_l of the layer and e_b of what the adapter stands behind, attention or the
    feed-forward network. All but e_t is shared by the tasks. U, D, and scale and shift of the normalisation come from
    generators that begin near zero: the trunk begins nearly as it was pretrained.

    Source: Karimi Mahabadi et al. 2021, "Parameter-efficient Multi-task Fine-tuning for Transformers via Shared
    Hypernetworks" (the variant with one network for all layers).

    Args:
        task_size: of e_t.
        place_size: of e_l and of e_b.
        hidden: features within the MLP.
        size: of what it returns, from which weights are generated.
        reduction: by how much a bottleneck is narrower than the states.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `adapters` gives every task weights of its own for the same places.

    Example:
        >>> Hyperformer(task_size=64).size
        64
    """

    task_size: int = 512
    place_size: int = 64
    hidden: int = 128
    size: int = 64
    reduction: int = 16
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        sizes = {"task_size": self.task_size, "place_size": self.place_size, "hidden": self.hidden, "size": self.size}
        require([*at_least(1, **sizes, reduction=self.reduction), *below_one(dropout=self.dropout)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, _ROLES, "architecture.type")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _Hyperformer(self, trunk, tasks)


class _Hypernetwork(nn.Module):
    """Adapts states as a task does it at a place."""

    def __init__(self, part: Hyperformer, trunk: Trunk, tasks: Iterable[str]) -> None:
        super().__init__()
        width, narrow = trunk.width, max(1, trunk.width // part.reduction)
        self.tasks = nn.ParameterDict({key(name): torch.randn(part.task_size) for name in tasks})
        self.layers = nn.Embedding(trunk.depth, part.place_size)
        self.blocks = nn.Embedding(len(_ROLES), part.place_size)
        self.mlp = nn.Sequential(
            nn.Linear(part.task_size + 2 * part.place_size, part.hidden),
            nn.ReLU(),
            nn.Linear(part.hidden, part.size),
            nn.LayerNorm(part.size),
        )
        self.down, self.up = _generator(part.size, narrow, width), _generator(part.size, width, narrow)
        self.gamma, self.beta = _generator(part.size, width), _generator(part.size, width)

    def forward(self, task: str, layer: int, block: int, states: Tensor) -> Tensor:
        places = self.layers.weight[layer], self.blocks.weight[block]
        z = self.mlp(torch.cat([self.tasks[key(task)], *places]))
        inner = functional.linear(functional.gelu(functional.linear(states, self.down(z))), self.up(z))
        return states + functional.layer_norm(inner, inner.shape[-1:], self.gamma(z), self.beta(z))


class _Generated(Inserted):
    def __init__(
        self, route: Route, adapt: Callable[..., Tensor], tasks: Iterable[str], place: tuple[int, int]
    ) -> None:
        super().__init__(route, {})
        self.adapt, self.tasks, self.place = adapt, set(tasks), place

    def changes(self, task: str) -> bool:
        return task in self.tasks

    def changed(self, task: str, rows: slice, given: Tensor, states: Tensor) -> Tensor:
        return self.adapt(task, *self.place, states)


class _Hyperformer(Routed):
    def __init__(self, part: Hyperformer, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        self.hypernetwork = _Hypernetwork(part, trunk, tasks)
        adapt = self.hypernetwork.forward  # a method, not the module: that one is held above, and once
        for at, layer in enumerate(trunk.layers):
            for block, role in enumerate(_ROLES):
                self.insert(_Generated(self.route, adapt, tasks, (at, block)), behind=sites(layer)[role])


def _generator(size: int, *shape: int) -> nn.Module:
    """A linear layer from which weights of a shape come; it begins near zero."""
    linear = nn.Linear(size, torch.Size(shape).numel())
    nn.init.normal_(linear.weight, std=1e-2)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.Unflatten(0, shape))
