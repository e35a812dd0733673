"""One trunk of which each task uses some weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call

from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.modular.pruning import Masks, density, prunable, pruned
from motet.architectures.routing import lacking
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, RunError, below_one, nearest, one_of, require, share
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["SparseSharing", "Start", "read_masks", "write_masks"]

Start = Literal["magnitude", "random"]


@register("architecture", "sparse_sharing")
@dataclass(frozen=True, kw_only=True)
class SparseSharing(Architecture):
    """One trunk of which each task uses a part of the weights, so that tasks share as much as their parts overlap.

    A binary mask for each task lies over the matrices in the layers of the trunk; embeddings, norms and biases serve
    all. A task reads its rows with the weights that its mask leaves, and its loss moves these alone. `motet masks`
    finds masks, pruning by magnitude in rounds of training, and writes them to a file; without one a recipe begins with
    simpler ones. They are saved with the model, a byte for each weight and task. Every row is read once for each task
    that owns it.

    Source: Sun et al. 2020, "Learning Sparse Sharing Architectures for Multiple Tasks"; random masks: Strezoski,
    van Noord, Worring 2019, "Many Task Learning With Task Routing", there over channels.

    Args:
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.
        density: share of the weights that a task begins with; at 1 there are no masks, and this is hard sharing.
        start: which ones: those of largest `magnitude`, the same for all tasks, or `random` ones for each.
        masks: a file of masks, as `motet masks` writes it, in place of `density` and `start`; read when the run begins.

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
    masks: str = ""

    def __post_init__(self) -> None:
        require([*below_one(dropout=self.dropout), *share(density=self.density), *one_of(Start, start=self.start)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        if self.density < 1 or self.masks:
            place = "masks" if self.masks else "density"
            missing = list(lacking(trunk, (), f"architecture.{place}"))
            yield from missing or self._unfit(tasks, trunk)

    def _unfit(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        """What is wrong with a file of masks."""
        if not self.masks:
            return
        try:
            found = read_masks(self.masks)
        except RunError as error:
            yield Problem("architecture.masks", str(error), self.masks, "`motet masks RECIPE` writes one.")
            return
        shapes = {name: weight.shape for name, weight in prunable(trunk).items()}
        for task in tasks:
            if task not in found:
                rule = f"has no masks of the task `{task}`. {nearest(task, found)}"
                yield Problem("architecture.masks", rule, self.masks)
            elif {name: mask.shape for name, mask in found[task].items()} != shapes:
                rule = f"has masks of the task `{task}` that are those of another encoder"
                yield Problem("architecture.masks", rule, self.masks)

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _SparseSharing(self, trunk, tasks)


class _SparseSharing(Arrangement):
    one_pass: ClassVar[bool] = False

    def __init__(self, part: SparseSharing, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.masks = nn.ModuleDict()
        found = read_masks(part.masks) if part.masks else {}
        masked = any(density(found[name]) < 1 for name in tasks) if found else part.density < 1
        for name in tasks if masked else ():
            self.masks[key(name)] = _Mask(prunable(trunk), part.density, part.start)
            if found:
                self.use(name, found[name])

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

    def settled(self, architecture: Architecture) -> Architecture:
        if not isinstance(architecture, SparseSharing) or not architecture.masks:
            return architecture
        every: Any = self.masks.values()
        kept = [density(mask()) for mask in every]
        return replace(architecture, masks="", density=sum(kept) / len(kept) if kept else 1.0)

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


def write_masks(masks: Mapping[str, Masks], path: Path) -> None:
    """Write the masks of some tasks into a file of safetensors."""
    save_file({f"{task}/{name}": mask.cpu().clone() for task, of in masks.items() for name, mask in of.items()}, path)


def read_masks(path: str | Path) -> dict[str, Masks]:
    """The masks of tasks, by the names of the weights, from a file that `write_masks` wrote.

    Raises:
        RunError: it is not there, or no such file.
    """
    found: dict[str, Masks] = {}
    try:
        loaded = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot be read ({error})") from error
    for place, mask in loaded.items():
        task, _, name = place.partition("/")  # no task has a slash in its name
        found.setdefault(task, {})[name] = mask.bool()
    return found
