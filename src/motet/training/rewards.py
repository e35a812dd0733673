"""How well the gradients of each stream's rows agree with what all tasks need, for a sampler that learns its shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.data.batches import Chunk
from motet.model import MultiTaskModel
from motet.training.devices import Devices
from motet.training.feed import Feed
from motet.training.objective import Objective

__all__ = ["Rewards"]


@dataclass(frozen=True)
class Rewards:
    """Tries a virtual step on the rows of every open stream.

    True labels count, also of tasks that are held. The model is asked in evaluation mode, so that no generator but the
    sampler's is touched, and is put back exactly.

    Args:
        model: tried.
        devices: of this process.
        feed: gives the rows.
        shared: the parameters whose gradients are compared.
    """

    model: MultiTaskModel
    devices: Devices
    feed: Feed
    shared: Sequence[nn.Parameter]

    def __call__(self, live: Sequence[str]) -> dict[str, float]:
        """The reward of every open stream: a cosine, -1 to 1."""
        training = self.model.training
        self.model.eval()
        validation = self.feed.held_out(live)
        rewards = {name: self._reward(self.feed.trial(name, live), validation) for name in self.feed.open(live)}
        self.model.train(training)
        return rewards

    def _reward(self, chunks: Sequence[Chunk], validation: Sequence[Chunk]) -> float:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        before = [p.detach().clone() for p in trained]
        slopes = self._slopes(chunks, trained)
        with torch.no_grad():
            for p, slope in zip(trained, slopes, strict=True):
                p.sub_(slope, alpha=self.feed.mixing.pace)
        needs = self._slopes(validation, trained)
        with torch.no_grad():
            for p, value in zip(trained, before, strict=True):
                p.copy_(value)
        return self._cosine(trained, slopes, needs)

    def _slopes(self, chunks: Sequence[Chunk], trained: Sequence[nn.Parameter]) -> Sequence[Tensor]:
        """The gradient of the sum of all losses, over all processes."""
        losses = Objective(self.model, self.devices).losses(chunks)
        nothing = 0 * trained[0].sum()  # all rows may lie with other processes
        whole = torch.stack([nothing, *losses.values()]).sum()
        slopes = torch.autograd.grad(whole, trained, allow_unused=True, materialize_grads=True)
        flat = self.devices.sum(torch.cat([slope.reshape(-1) for slope in slopes]))
        parts = torch.split(flat, [p.numel() for p in trained])
        return [part.view_as(p) for part, p in zip(parts, trained, strict=True)]

    def _cosine(self, trained: Sequence[nn.Parameter], one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
        shared = {id(p) for p in self.shared}
        here = [at for at, p in enumerate(trained) if id(p) in shared]
        left, right = (torch.cat([slopes[at].reshape(-1) for at in here]) for slopes in (one, other))
        return float(functional.cosine_similarity(left, right, dim=0))
