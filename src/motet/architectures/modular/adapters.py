"""Bottleneck adapters of each task within the layers of a trunk."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling
from motet.architectures.routing import Inserted, Routed, lacking
from motet.encoders.layers import Role, norms, sites
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, one_of, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Activation", "Adapter", "Adapters", "activations"]

Activation = Literal["gelu", "relu", "silu", "tanh"]
Where = Literal["both", "feed_forward"]

activations: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


@register("architecture", "adapters")
@dataclass(frozen=True, kw_only=True)
class Adapters(Architecture):
    """Bottleneck adapters of each task in every layer of a frozen trunk: h + W_up φ(W_down h).

    An adapter stands behind what attention or the feed-forward network adds to the residual stream. Its weights begin
    near zero, so that the trunk begins as it was pretrained.

    Source: Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP"; behind the feed-forward network alone:
    Pfeiffer et al. 2021, "AdapterFusion: Non-Destructive Task Composition for Transfer Learning".

    Args:
        where: `both` (Houlsby) or behind the `feed_forward` network alone (Pfeiffer).
        reduction: by how much a bottleneck is narrower than the states.
        activation: φ.
        norms: whether each task also learns normalisations of its own, which begin as those of the layers.
        freeze: whether the trunk keeps its weights.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `pals` stand beside the layers, `lora` within their products; `hyperformer` generates adapters for all tasks;
        `mad_x` stacks those of a language and of a task.

    Example:
        >>> Adapters(where="feed_forward", activation="relu").reduction
        16
    """

    where: Where = "both"
    reduction: int = 16
    activation: Activation = "gelu"
    norms: bool = False
    freeze: bool = True
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *one_of(Where, where=self.where),
                *at_least(1, reduction=self.reduction),
                *one_of(Activation, activation=self.activation),
                *below_one(dropout=self.dropout),
            ]
        )

    @property
    def roles(self) -> tuple[Role, ...]:
        """The products behind which adapters stand."""
        return ("attention", "outer") if self.where == "both" else ("outer",)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from lacking(trunk, self.roles, "architecture.where")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _Adapters(self, trunk, tasks)


class Adapter(nn.Module):
    """h + W_up φ(W_down h), with weights that begin near zero and biases at zero.

    Example:
        >>> Adapter(32, 16, "relu").down.out_features
        2
    """

    def __init__(self, width: int, reduction: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.down = nn.Linear(width, max(1, width // reduction))
        self.up = nn.Linear(self.down.out_features, width)
        for linear in (self.down, self.up):
            nn.init.normal_(linear.weight, std=1e-2)
            nn.init.zeros_(linear.bias)

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        """States changed, ``[rows, length, width]``; what led to them is not looked at."""
        inner = activations[self.activation](self.down(states))
        return states + self.up(inner)  # type: ignore[no-any-return]


class _Norm(nn.Module):
    """A normalisation of a task's own in the place of one of the trunk."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        return self.norm(given)  # type: ignore[no-any-return]


class _Adapters(Routed):
    def __init__(self, part: Adapters, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout), freeze=part.freeze)
        for layer in trunk.layers:
            for role in part.roles:
                own = {name: Adapter(trunk.width, part.reduction, part.activation) for name in tasks}
                self.insert(Inserted(self.route, own), behind=sites(layer)[role])
            for norm in norms(layer) if part.norms else ():
                copies = {name: _Norm(copy.deepcopy(norm).requires_grad_(True)) for name in tasks}
                norm.requires_grad_(False)  # nothing reads what it makes
                self.insert(Inserted(self.route, copies), behind=norm)

    def pretrained_parameters(self) -> Iterable[nn.Parameter]:
        yield from super().pretrained_parameters()
        for module in self.inserted.modules():
            if isinstance(module, _Norm):
                yield from module.parameters()
