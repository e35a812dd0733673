"""Columns that read mixtures of parts of each other's states, and heads that read mixtures of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.columns import Columned, InStep
from motet.architectures.heads import Heads, answering, key
from motet.architectures.parallel.cross_stitch import mixtures, stitches
from motet.data.batches import Chunk
from motet.encoders.layers import products, sites
from motet.encoders.trunk import Trunk
from motet.errors import Problem, at_least, share
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Sluice", "overlaps"]


@register("architecture", "sluice")
@dataclass(frozen=True, kw_only=True)
class Sluice(Columned):
    """A column for each task; subspaces of their states are mixed after every layer, and layers for each head.

    States are cut into `subspaces` of equal width. After a layer, every subspace of every column becomes a learnt
    mixture of all of them, ``h_k <- sum(alpha_ki * h_i)`` over columns and subspaces. The head of a task reads
    ``sum(beta_l * h_l)`` over the layers of its column, taken before the norm that some encoders end with. A penalty
    ``c * sum(||G1' G2||**2)``, over columns, layers and pairs of subspaces, keeps apart the weights `G` by which
    attention and feed-forward network write into each subspace. All columns read all rows; the trunk's layers are the
    first column. Tasks that write do so with the trunk as it is.

    Source: Ruder et al. 2019, "Latent Multi-Task Architecture Learning".

    Args:
        subspaces: parts of the states; 1 mixes them whole.
        own: weight `alpha` of a subspace itself at the beginning, the rest being equal parts of what is left to 1;
            1 / (columns * subspaces) is the balanced beginning of the paper.
        beta: whether heads read mixtures of layers; otherwise they read the last one.
        last: weight `beta` of the last layer at the beginning, the rest being equal parts of what is left to 1.
        c: weight of the penalty, which is logged as `subspaces`; 0 leaves it out. The sum grows with the square of the
            width and with the layers: the 0.1 of the paper's code is for small LSTMs.

    Relations:
        With ``subspaces=1, beta=False, c=0`` it is `CrossStitch`.

    Example:
        >>> Sluice(subspaces=2, shared_layers=6).last
        0.9
    """

    subspaces: int = 2
    own: float = 0.9
    beta: bool = True
    last: float = 0.9
    c: float = 1e-5

    def faults(self) -> Iterator[Problem]:
        yield from super().faults()
        yield from at_least(1, subspaces=self.subspaces)
        yield from share(own=self.own, last=self.last)
        yield from at_least(0, c=self.c)

    def misfits(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterator[Problem]:
        if trunk.width % self.subspaces:
            yield Problem("architecture.subspaces", f"must divide the width {trunk.width}", str(self.subspaces))
        if self.c and self.subspaces > 1 and not all(_writing(layer) for layer in trunk.layers):
            rule = f"needs products that write states, and cannot tell them in {', '.join(products(trunk.layers[0]))}"
            yield Problem("architecture.c", rule, f"{self.c:g}", "Use 0, or another encoder.")

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return max(0, len(answering(tasks)) - 1)

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _Sluice(self, trunk, tasks)


class _Sluice(InStep):
    def __init__(self, part: Sluice, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        heads = Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout)
        super().__init__(trunk, heads, tasks, part.shared_layers)
        self.subspaces, self.c = part.subspaces, part.c
        alpha = stitches(len(self.names) * part.subspaces, part.own)
        # vectors, because weight decay is for matrices and would wear mixtures away
        self.alpha = nn.Parameter(alpha.flatten().repeat(self.depth))
        beta = stitches(self.depth, part.last)[-1]
        named = {key(name): nn.Parameter(beta.clone()) for name in self.names if part.beta}
        self.beta = nn.ParameterDict(named)
        self._sums: dict[str, Tensor] = {}

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        logits = super().forward(chunk)
        if self.training and self.c and self.subspaces > 1:
            self.extras["subspaces"] = self.c * self._penalty()
        return logits

    def mix(self, place: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        states = self._stitched(place, found)
        if not self.beta:
            return states
        parts = {name: self.beta[key(name)][place] * state for name, state in states.items()}
        sums = {name: self._sums[name] + part for name, part in parts.items()} if place else parts
        self._sums = sums if place < self.depth - 1 else {}
        return states if self._sums else sums

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.beta:
            yield self.beta[key(task)]

    def _stitched(self, place: int, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        size = len(self.names) * self.subspaces
        parts = [part for name in self.names for part in found[name].chunk(self.subspaces, dim=-1)]
        mixed = mixtures(self.alpha.view(self.depth, size, size)[place], parts)
        starts = range(0, size, self.subspaces)
        whole = [torch.cat(mixed[start : start + self.subspaces], dim=-1) for start in starts]
        return dict(zip(self.names, whole, strict=True))

    def _penalty(self) -> Tensor:
        stacks = [self.trunk.layers[self.columns.first :], *map(self.columns.stack, self.columns.names)]
        written = [weight for stack in stacks for layer in stack for weight in _writing(layer)]
        return torch.stack([overlaps(weight, self.subspaces) for weight in written]).sum()


def overlaps(weight: Tensor, subspaces: int) -> Tensor:
    """The sum of ``||G1' G2||**2`` over pairs of subspaces that a matrix writes into.

    Args:
        weight: ``[width, features]``, a row for each feature of the states.
        subspaces: parts of the rows.

    Example:
        >>> overlaps(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), 2), overlaps(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), 2)
        (tensor(0.), tensor(4.))
    """
    pairs = combinations(weight.chunk(subspaces), 2)
    return torch.stack([(one @ other.T).square().sum() for one, other in pairs]).sum()


def _writing(layer: nn.Module) -> list[Tensor]:
    """The weights by which a layer adds to the states, a row for each feature of these."""
    found = [product for role, product in sites(layer).items() if role in ("attention", "outer")]
    weights = [(product, product.get_parameter("weight")) for product in found]
    return [weight if isinstance(product, nn.Linear) else weight.T for product, weight in weights]
