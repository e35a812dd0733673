"""One trunk of which each task uses some weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.modular.pruning import prunable, pruned
from motet.data.batches import Chunk
from motet.encoders.layers import has_layers
from motet.encoders.trunk import Trunk
from motet.errors import Problem, below_one, one_of, require, share
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["SparseSharing", "Start"]

Start = Literal["magnitude", "random"]


@register("architecture", "sparse_sharing")
@dataclass(frozen=True, kw_only=True)
class SparseSharing(Architecture):
    """One trunk of which each task uses a part of the weights, so that tasks share as much as their parts overlap.

    A binary mask for each task lies over the matrices in the layers of the trunk; embeddings, norms and biases serve
    all. A task reads its rows with the weights that its mask leaves, and its loss moves these alone. Masks are found
    by `find_masks`, which prunes by magnitude in rounds of training; a recipe begins with simpler ones, and the
    arrangement takes over others by ``use(task, masks)``. They are saved with the model, a byte for each weight and
    task. Every row is read once for each task that owns it.

    Source: Sun et al. 2020, "Learning Sparse Sharing Architectures for Multiple Tasks"; random masks: Strezoski,
    van Noord, Worring 2019, "Many Task Learning With Task Routing", there over channels.

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.
        density: share of the weights that a task begins with; at 1 there are no masks, and this is hard sharing.
        start: which ones: those of largest `magnitude`, the same for all tasks, or `random` ones for each.

    Relations:
        `HardSharing` has all weights serve all tasks.

    Example:
        >>> SparseSharing(density=0.5).start
        'magnitude'
    """

    pooling: Pooling = "auto"
    dropout: float = 0.1
    density: float = 1.0
    start: Start = "magnitude"

    def __post_init__(self) -> None:
        require([*below_one(dropout=self.dropout), *share(density=self.density), *one_of(Start, start=self.start)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        if self.density < 1 and not has_layers(trunk):
            rule = "needs layers that are modules of their own; this encoder passes one several times"
            yield Problem("architecture.density", rule, str(self.density))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _SparseSharing(self, trunk, tasks)


class _SparseSharing(Arrangement):
    one_pass: ClassVar[bool] = False

    def __init__(self, part: SparseSharing, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.masks = nn.ModuleDict()
        for name in tasks if part.density < 1 else ():
            self.masks[key(name)] = _Mask(prunable(trunk), part.density, part.start)

    def use(self, task: str, masks: Mapping[str, Tensor]) -> None:
        """Read with other masks for a task from now on.

        Args:
            task: whose rows are read so.
            masks: which weights it keeps, by their names in the trunk.

        Raises:
            ValueError: the density is 1, so that there are no masks.
        """
        if key(task) not in self.masks:
            raise ValueError("an arrangement of density 1 has no masks")
        mask: Any = self.masks[key(task)]
        mask.take(masks)

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        if not self.masks:
            return self._plain(chunk)
        return {name: self._with_mask(name, partial(self._plain, chunk.part(name)))[name] for name in chunk.owned}

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        writing = partial(super().write, chunk, task)
        found: list[np.ndarray] = self._with_mask(task.name, writing) if self.masks else writing()
        return found

    def _plain(self, chunk: Chunk) -> dict[str, Tensor]:
        return self.answers(chunk, self.read(chunk))

    def _with_mask(self, task: str, act: Callable[[], Any]) -> Any:
        weights = prunable(self.trunk)
        left = {f"trunk.{name}": weights[name] * mask for name, mask in self.masks[key(task)]().items()}
        return functional_call(_During(self.trunk), left, (act,))


class _Mask(nn.Module):
    """Which weights a task keeps, held as buffers since they are no parameters but belong to the model."""

    def __init__(self, weights: Mapping[str, Tensor], density: float, start: Start) -> None:
        super().__init__()
        self.names = list(weights)
        every = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
        sizes = weights if start == "magnitude" else {name: torch.rand_like(weight) for name, weight in weights.items()}
        for name, mask in pruned(sizes, every, 1 - density).items():
            self.register_buffer(key(name), mask)

    def take(self, masks: Mapping[str, Tensor]) -> None:
        for name, mask in self().items():
            mask.copy_(masks[name])

    def forward(self) -> dict[str, Tensor]:
        return {name: self.get_buffer(key(name)) for name in self.names}


class _During(nn.Module):
    """Something done while a trunk has other weights."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, act: Callable[[], Any]) -> Any:
        return act()
