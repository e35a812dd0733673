"""States that tasks share and states of each task's own, kept apart by a discriminator and by orthogonality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.adversarial.task_discriminator import Adversary
from motet.architectures.base import Arrangement
from motet.architectures.heads import Heads, answering, by_family, key, pool
from motet.architectures.parallel.hard_sharing import task_layers
from motet.data.batches import Chunk
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, at_least, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["SharedPrivate", "overlap"]


@register("architecture", "shared_private")
@dataclass(frozen=True, kw_only=True)
class SharedPrivate(Adversary):
    """Shared states that tell nobody's task, beside private states of each task; a head reads both.

    The shared states are the last ones of the trunk, and a discriminator with reversed gradient keeps them from
    telling the task or domain of a row. The private states come from a task's own fresh transformer layers beside the
    upper layers of the trunk: they start from states below, where what the discriminator hunts is still to be found.
    The overlap of both, taken over the rows that a task has in a chunk, is a loss too. A row costs `private_layers`
    layers more than in hard sharing, however many tasks there are.

    Tasks that write do so with the trunk as it is.

    Source: Liu, Qiu, Huang 2017, "Adversarial Multi-task Learning for Text Classification"; centred and normalised
    features: Bousmalis et al. 2016, "Domain Separation Networks".

    Args:
        pooling: how a text becomes one vector, for heads and losses; `auto` is the last sub-word for a decoder, else
            the mean.
        dropout: before the last linear layer of each head.
        groups: the domain of a task; by default each is one by itself. A row counts once for each domain among the
            tasks that own it; text without labels takes part through a task that needs none (`MaskedLanguage`).
        lambda_adv: weight of the discriminator's loss; 0 is plain shared-private.
        ramp: how steeply the gradient of the trunk rises to its full strength; None has it at full strength always.
        discriminator_steps: steps of the discriminator for each in which the trunk hears of it.
        hidden: width of the discriminator's hidden layer; 0 is none.
        multi_discriminator: a binary discriminator for every domain, in place of one that chooses among them.
        private_layers: transformer layers of each task's own.
        branch: the trunk layer whose states they read (0 is the embeddings); by default so many below the last.
        gamma: weight of the overlap of shared and private states; 0 leaves it out.

    Relations:
        `TaskDiscriminator` has the shared states alone.

    Example:
        >>> SharedPrivate(private_layers=2, gamma=0.05).lambda_adv
        0.05
    """

    private_layers: int = 1
    branch: int | None = None
    gamma: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require([*at_least(1, private_layers=self.private_layers), *at_least(0, gamma=self.gamma)])

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        yield from super().problems(tasks, trunk)
        if self.branch is not None and not 0 <= self.branch <= trunk.depth:
            yield Problem("architecture.branch", f"must be 0 to {trunk.depth}", str(self.branch))
        elif self.branch is None and self.private_layers > trunk.depth:
            rule = f"must be at most {trunk.depth}, the layers of the trunk, where no `branch` is named"
            yield Problem("architecture.private_layers", rule, str(self.private_layers))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _SharedPrivate(self, trunk, tasks)


class _SharedPrivate(Arrangement):
    def __init__(self, part: SharedPrivate, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        reading = answering(tasks)
        widths = dict.fromkeys(reading, 2 * trunk.width)
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout, widths=widths))
        self.private = nn.ModuleDict({key(name): task_layers(trunk, part.private_layers) for name in reading})
        self.branch = trunk.depth - part.private_layers if part.branch is None else part.branch
        self.discriminator = part.discriminator(trunk, tasks)
        self.gamma, self.pooling = part.gamma, by_family(part.pooling, trunk.family)

    def begin(self, step: int, steps: int) -> None:
        if self.discriminator is not None:
            self.discriminator.begin(step, steps)

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        read = self.read(chunk, inner=True)
        self.extras = self._extras(chunk, read) if self.training else {}
        return {name: self._answer(name, chunk, read) for name in chunk.owned}

    def _extras(self, chunk: Chunk, read: States | None) -> dict[str, Tensor]:
        """The loss of the discriminator, and an overlap of nothing yet."""
        extras = {"orthogonality": torch.zeros((), device=chunk.tokens.device)} if self.gamma else {}
        if self.discriminator is not None:
            extras["adversarial"] = self.discriminator(read, chunk)
        return extras

    def _answer(self, name: str, chunk: Chunk, read: States | None) -> Tensor:
        if read is None or key(name) not in self.private:
            return self.heads.answer(name, self.trunk, None if read is None else read.last, chunk)
        part, read = chunk.part(name), read.at(chunk.owned[name].rows)
        private = self.private[key(name)](read.after(self.branch), src_key_padding_mask=part.mask == 0)
        if "orthogonality" in self.extras:
            shared, own = (pool(states.float(), part.mask, self.pooling) for states in (read.last, private))
            self.extras["orthogonality"] = self.extras["orthogonality"] + self.gamma * overlap(shared, own)
        return self.heads.answer(name, self.trunk, torch.cat([read.last, private], dim=-1), part)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if key(task) in self.private:
            yield from self.private[key(task)].parameters()


def overlap(shared: Tensor, private: Tensor) -> Tensor:
    """The mean square of ``S^T H``, for centred features of length 1.

    The features of one side may be turned as a whole without a change; it is 0 where no feature of one side goes
    with any of the other over the rows, as with a single row.

    Args:
        shared: ``[rows, width]``.
        private: ``[rows, width]``.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> overlap(features, features)
        tensor(1.)
    """
    # rows that are equal but for rounding have no direction that could be made longer
    S, H = (functional.normalize(features - features.mean(dim=0), eps=1e-4) for features in (shared, private))
    return (S.T @ H).square().mean()
