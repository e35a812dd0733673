"""Features of several depths of the trunk, fused for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, answering, key
from motet.architectures.reading import Reading
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, at_least, below_one, one_of, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["AttentionOverLayers", "FeatureFusion", "Fuse", "GateOverLayers", "ScalarMix"]

Fuse = Literal["mix", "gate", "attention"]


@register("architecture", "feature_fusion")
@dataclass(frozen=True, kw_only=True)
class FeatureFusion(Architecture):
    """Each task fuses the states of several layers in its own way.

    The head of a task reads one of these, h^(l) being the states after layer l and L the last of the layers:

    * ``mix``: gamma sum_l s_l h^(l), where s = softmax(w) is the same for all tokens;
    * ``gate``: f^(L), where f begins as the states of the lowest layer and each layer above takes a share of the place,
      f^(l) = g_l h^(l) + (1 - g_l) f^(l-1) with g_l = sigmoid(v_l [h^(l); f^(l-1)] + b_l) for each token;
    * ``attention``: sum_l a_l h^(l), where a = softmax_l((Q h^(L)) (K h^(l)) / sqrt(size) + b_l) for each token.

    With all weight on the last layer each of them is hard sharing.

    Source: mix: Peters et al. 2018, "Deep contextualized word representations"; gate: Lan, Wang, Wu, Niu, Wang 2017,
    "Multi-task Attention-based Neural Networks for Implicit Discourse Relationship Representation and Identification";
    attention: Vijayaraghavan et al. 2017, "Twitter Demographic Classification Using Deep Multi-modal Multi-task
    Learning".

    Args:
        fuse: how.
        layers: that are fused, from low to high; 0 is what the first layer is given. By default all, and 0.
        size: features of queries and keys of `attention`.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `multi_level` gives each task one layer; `mtan` masks the features of each layer.

    Example:
        >>> FeatureFusion(fuse="attention", layers=(6, 12)).size
        64
    """

    fuse: Fuse = "mix"
    layers: tuple[int, ...] = ()
    size: int = 64
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            [
                *one_of(Fuse, fuse=self.fuse),
                *at_least(1, size=self.size),
                *below_one(dropout=self.dropout),
                *self._unsorted(),
            ]
        )

    def _unsorted(self) -> Iterable[Problem]:
        if list(self.layers) != sorted(set(self.layers)):
            yield Problem("layers", "must go from low to high, each layer once", str(list(self.layers)))
        elif len(self.layers) == 1:
            remedy = "Name several, or use `multi_level`."
            yield Problem("layers", "holds one layer, which leaves nothing to fuse", str(list(self.layers)), remedy)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for layer in self.layers:
            if not 0 <= layer <= trunk.depth:
                yield Problem("architecture.layers", f"must be 0 to {trunk.depth}", str(layer))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _FeatureFusion(self, trunk, tasks)


class ScalarMix(nn.Module):
    """A sum of layers by weights that sum to one, times a scale.

    Args:
        layers: how many.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, layers: Tensor) -> Tensor:
        """States ``[..., width]``, from those of all layers ``[layers, ..., width]``."""
        mixed: Tensor = torch.tensordot(self.weights.softmax(dim=0).to(layers.dtype), layers, dims=1)
        return self.scale * mixed


class GateOverLayers(nn.Module):
    """From the lowest layer up, each takes a share of the place of those below.

    Args:
        layers: how many.
        width: size of the states.
    """

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(2 * width, 1) for _ in range(layers - 1))

    def forward(self, layers: Tensor) -> Tensor:
        """States ``[..., width]``, from those of all layers ``[layers, ..., width]``."""
        fused = layers[0]
        for gate, states in zip(self.gates, layers[1:], strict=True):
            share: Tensor = torch.sigmoid(gate(torch.cat([states, fused], dim=-1)))
            fused = share * states + (1 - share) * fused
        return fused


class AttentionOverLayers(nn.Module):
    """Each token looks from the last layer at its states in all of them.

    Args:
        layers: how many.
        width: size of the states.
        size: features of queries and keys.
    """

    def __init__(self, layers: int, width: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, size)
        self.keys = nn.Linear(width, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(layers))

    def forward(self, layers: Tensor) -> Tensor:
        """States ``[..., width]``, from those of all layers ``[layers, ..., width]``."""
        query = self.query(layers[-1])
        scores = torch.einsum("...s,l...s->...l", query, self.keys(layers)) * query.shape[-1] ** -0.5
        weights = (scores + self.bias).softmax(dim=-1)
        return torch.einsum("...l,l...w->...w", weights.to(layers.dtype), layers)


class _FeatureFusion(Reading):
    inner: ClassVar[bool] = True

    def __init__(self, part: FeatureFusion, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        layers = part.layers or range(trunk.depth + 1)
        self.layers = [layer if layer < trunk.depth else None for layer in layers]
        of: dict[Fuse, Callable[[], nn.Module]] = {
            "mix": lambda: ScalarMix(len(layers)),
            "gate": lambda: GateOverLayers(len(layers), trunk.width),
            "attention": lambda: AttentionOverLayers(len(layers), trunk.width, part.size),
        }
        named = answering(tasks)
        self.fusions = nn.ModuleDict({key(name): of[part.fuse]() for name in named})

    def states(self, task: str, part: Chunk, read: States) -> Tensor:
        fused: Tensor = self.fusions[key(task)](torch.stack([read.after(layer) for layer in self.layers]))
        return fused

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.fusions:
            yield from self.fusions[key(task)].parameters()
