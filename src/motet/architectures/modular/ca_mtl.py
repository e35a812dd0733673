"""A trunk whose attention, alignment, normalisations and bottlenecks are conditioned on an embedding of the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.base import Architecture
from motet.architectures.heads import Heads, Pooling, key
from motet.architectures.modular.attention import Memory, can_remember, remember
from motet.architectures.routing import Inserted, Route, Routed, lacking, without_cache
from motet.data.batches import Chunk
from motet.encoders.layers import norms
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, below_one, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["CAMTL", "Film"]


@register("architecture", "ca_mtl")
@dataclass(frozen=True, kw_only=True)
class CAMTL(Architecture):
    """One trunk for all tasks, conditioned on an embedding z of the task in four places.

    What conditions is shared; a task has z and its head alone. Every place begins as the trunk was pretrained.

    - attention: softmax(M(z) + Q K^T / √d) V, with M(z) = A (1 + gamma(z)) + beta(z) in blocks on the diagonal, for all
      heads;
    - alignment: (h R) (1 + gamma(z)) + beta(z) before the first layer;
    - norms: n (w (1 + gamma(z))) + b + beta(z), with w and b those of the trunk and n the normalised states;
    - bottlenecks: h + up(GELU(down(h))) behind the highest layers, both products followed by the same.

    gamma and beta are linear in z. Alignment modulates features here, where the paper generates all of its matrix.

    Source: Pilault, Elhattami, Pal 2021, "Conditionally Adaptive Multi-Task Learning: Improving Transfer Learning in
    NLP Using Fewer Parameters & Less Data"; gamma and beta: Perez et al. 2018, "FiLM: Visual Reasoning with a General
    Conditioning Layer".

    Args:
        attention: whether attention is conditioned.
        alignment: whether what goes into the first layer is.
        norms: whether the normalisations in the layers are.
        bottlenecks: how many of the highest layers have a conditioned bottleneck behind them.
        frozen_layers: how many of the lowest layers keep their weights, and with them the vectors of sub-words; in the
            paper half of them. At 0 everything is trained.
        task_size: of z.
        length: places of a text that M(z) reaches; on those behind it attention is that of the trunk.
        blocks: on the diagonal of M(z); must divide `length`.
        reduction: by how much a bottleneck is narrower than the states.
        pooling: how a text becomes one vector; `auto` is the last sub-word for a decoder, else the mean.
        dropout: before the last linear layer of each head.

    Relations:
        `hyperformer` generates adapters from an embedding, `pals` gives every task an attention of its own. The sampler
        `mt_uncertainty` is of the same paper. An encoder whose attention does not go through the interface of
        transformers (DeBERTa, MPNet) needs ``attention: false``.

    Example:
        >>> CAMTL(bottlenecks=0, frozen_layers=3).attention
        True
    """

    attention: bool = True
    alignment: bool = True
    norms: bool = True
    bottlenecks: int = 1
    frozen_layers: int = 0
    task_size: int = 64
    length: int = 128
    blocks: int = 8
    reduction: int = 3
    pooling: Pooling = "auto"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        counts = at_least(0, bottlenecks=self.bottlenecks, frozen_layers=self.frozen_layers)
        sizes = {"length": self.length, "blocks": self.blocks, "reduction": self.reduction}
        found = [*counts, *at_least(1, task_size=self.task_size, **sizes), *self._uneven()]
        require([*found, *below_one(dropout=self.dropout)])

    def _uneven(self) -> Iterable[Problem]:
        if self.blocks >= 1 and self.length % self.blocks:
            yield Problem("blocks", f"must divide `length` ({self.length})", str(self.blocks))

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from (missing := list(lacking(trunk, (), "architecture.type")))
        for name in ("bottlenecks", "frozen_layers"):
            if getattr(self, name) > trunk.depth:
                yield Problem(f"architecture.{name}", f"must be 0 to {trunk.depth}", str(getattr(self, name)))
        if self.attention and not missing and not can_remember(trunk):
            rule = "adds to attention, which this encoder does in a way of its own"
            yield Problem("architecture.attention", rule, remedy="Set it to false.")

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Routed:
        return _CAMTL(self, trunk, tasks)


class Film(nn.Module):
    """x (1 + gamma(z)) + beta(z), with gamma and beta linear in z; they begin at zero.

    Args:
        size: of z.
        shape: of what is modulated, rows left out.

    Example:
        >>> Film(3, 2)(torch.ones(3), torch.tensor([4.0, 5.0])).tolist()
        [4.0, 5.0]
    """

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__()
        self.shape = torch.Size(shape)
        self.linear = nn.Linear(size, 2 * self.shape.numel())
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def factors(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Gamma and beta."""
        gamma, beta = self.linear(z).unflatten(0, (2, *self.shape)).unbind()
        return gamma, beta

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        gamma, beta = self.factors(z)
        return x * (1 + gamma) + beta


class _Alignment(nn.Module):
    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.R = nn.Parameter(torch.eye(width))
        self.film = Film(size, width)

    def forward(self, z: Tensor, states: Tensor) -> Tensor:
        aligned: Tensor = self.film(z, states @ self.R)
        return aligned


class _Norm(nn.Module):
    """What a task makes of the states that a normalisation of the trunk returned: n w + b there."""

    def __init__(self, size: int, norm: nn.Module) -> None:
        super().__init__()
        self._norm = (norm,)  # in a tuple: the weights stay the trunk's own
        weight = next(norm.parameters())
        self.film = Film(size, *weight.shape)

    def forward(self, z: Tensor, states: Tensor) -> Tensor:
        gamma, beta = self.film.factors(z)
        shift = getattr(self._norm[0], "bias", None)
        return states + gamma * (states if shift is None else states - shift) + beta


class _Bottleneck(nn.Module):
    def __init__(self, size: int, width: int, narrow: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, narrow, bias=False), nn.Linear(narrow, width, bias=False)
        nn.init.zeros_(self.up.weight)
        self.film_down, self.film_up = Film(size, narrow), Film(size, width)

    def forward(self, z: Tensor, states: Tensor) -> Tensor:
        inner = functional.gelu(self.film_down(z, self.down(states)))
        return states + self.film_up(z, self.up(inner))  # type: ignore[no-any-return]


class _Conditioned(Inserted):
    """What stands at one place of the trunk, told the embedding of the task."""

    def __init__(self, route: Route, embedding: Callable[[str], Tensor], module: nn.Module) -> None:
        super().__init__(route, {})
        self.embedding, self.module = embedding, module

    def changes(self, task: str) -> bool:
        return True

    def changed(self, task: str, rows: slice, given: Tensor, states: Tensor) -> Tensor:
        found: Tensor = self.module(self.embedding(task), states)
        return found


class _Attention(Memory):
    """M(z) in one layer.

    Args:
        part: the architecture.
        route: of the arrangement; follows the masks of the trunk.
        embedding: z by task.
        moves: whether rows may begin with padding, as those do that a decoder goes on with.
    """

    def __init__(self, part: CAMTL, route: Route, embedding: Callable[[str], Tensor], *, moves: bool) -> None:
        super().__init__(route)
        self.embedding, self.moves = embedding, moves
        side = part.length // part.blocks
        self.A = nn.Parameter(torch.zeros(part.blocks, side, side))
        self.film = Film(part.task_size, part.blocks, side, side)

    def forward(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return key, value

    def bias(self, places: int) -> Tensor:
        if self.route.mask is None:
            raise RuntimeError("a layer is passed without its trunk")
        masks = [(task, self.route.mask[rows]) for task, rows in self.route.segments]
        return torch.cat([self._of_rows(self._reaching(task, places), mask) for task, mask in masks])[:, None]

    def _reaching(self, task: str, places: int) -> Tensor:
        """M(z) of a task, cut or filled up with zeros to a number of places."""
        blocks = self.film(self.embedding(task), self.A)
        whole: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
        more = max(0, places - len(whole))
        return functional.pad(whole, (0, more, 0, more))[:places, :places]

    def _of_rows(self, matrix: Tensor, mask: Tensor) -> Tensor:
        if not self.moves:
            return matrix.expand(len(mask), -1, -1)
        at = (mask.cumsum(dim=1) - 1).clamp(min=0)
        return matrix[at[:, :, None], at[:, None, :]]


class _CAMTL(Routed):
    def __init__(self, part: CAMTL, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        if part.frozen_layers:
            trunk.embeddings.requires_grad_(False)
            trunk.layers[: part.frozen_layers].requires_grad_(False)
        self.route.follow(trunk)
        self.z = nn.ParameterDict({key(name): torch.randn(part.task_size) for name in tasks})
        self.attention = nn.ModuleList()
        size, narrow = part.task_size, max(1, trunk.width // part.reduction)
        if part.alignment:
            self.insert(self._conditioned(_Alignment(size, trunk.width)), before=trunk.layers[0])
        for layer in trunk.layers:
            if part.attention:
                moves = trunk.family == "decoder"
                attention = _Attention(part, self.route, self.embedding, moves=moves)
                self.attention.append(attention)
                remember(trunk, layer, attention)
            for norm in norms(layer) if part.norms else ():
                self.insert(self._conditioned(_Norm(size, norm)), behind=norm)
        for layer in trunk.layers[trunk.depth - part.bottlenecks :]:
            self.insert(self._conditioned(_Bottleneck(size, trunk.width, narrow)), behind=layer)

    def embedding(self, task: str) -> Tensor:
        """The embedding of a task."""
        found: Tensor = self.z[key(task)]
        return found

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        if not self.attention or self.trunk.family != "decoder":
            return super().write(chunk, task)
        with without_cache(self.trunk):  # a bias has a row for each place that looks back
            return super().write(chunk, task)

    def _conditioned(self, module: nn.Module) -> _Conditioned:
        return _Conditioned(self.route, self.embedding, module)
