"""Hard sharing under a discriminator that must not learn whose row it sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.architectures.adversarial.reversal import ramp, reverse
from motet.architectures.base import Architecture, Arrangement
from motet.architectures.heads import Heads, Pooling, by_family, pool
from motet.data.batches import Chunk
from motet.encoders.families import Family
from motet.encoders.trunk import States, Trunk
from motet.errors import Problem, at_least, below_one, nearest, positive, require
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["Adversary", "Discriminator", "TaskDiscriminator"]


@dataclass(frozen=True, kw_only=True)
class Adversary(Architecture):
    """What `TaskDiscriminator` and `SharedPrivate` have in common; their fields say what is meant.

    A row belongs to the domains of all tasks that own it, and counts once for each of these: to a domain of several
    tasks that read the same text it counts once, and without `groups` once for every task. Text without labels takes
    part through a task that needs none, such as `MaskedLanguage`, put into the domain of the text.
    """

    pooling: Pooling = "auto"
    dropout: float = 0.1
    groups: Mapping[str, str] = field(default_factory=dict)
    lambda_adv: float = 0.05
    ramp: float | None = 10.0
    discriminator_steps: int = 1
    hidden: int = 0
    multi_discriminator: bool = False

    def __post_init__(self) -> None:
        amounts = at_least(0, lambda_adv=self.lambda_adv, hidden=self.hidden)
        require([*below_one(dropout=self.dropout), *amounts, *self._pace()])

    def _pace(self) -> Iterator[Problem]:
        yield from at_least(1, discriminator_steps=self.discriminator_steps)
        if self.ramp is not None:
            yield from positive(ramp=self.ramp)

    def problems(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterable[Problem]:
        for name in self.groups:
            if name not in tasks:
                yield Problem(f"architecture.groups.{name}", f"names no task. {nearest(name, tasks)}")
        domains = set(self.domains(tasks).values())
        if self.lambda_adv and len(domains) < 2:
            rule = "leaves a discriminator nothing to tell apart: it takes two domains"
            yield Problem("architecture.groups", rule, ", ".join(domains))

    def domains(self, tasks: Iterable[str]) -> dict[str, str]:
        """The domain of every task."""
        return {name: self.groups.get(name, name) for name in tasks}

    def discriminator(self, trunk: Trunk, tasks: Iterable[str]) -> Discriminator | None:
        """The discriminator, if there is to be one."""
        return Discriminator(self, trunk.width, trunk.family, self.domains(tasks)) if self.lambda_adv else None


class Discriminator(nn.Module):
    """Tells from a pooled text which domain it belongs to, while the trunk learns to give it no chance.

    Args:
        part: with the settings.
        width: of the states.
        family: of the trunk.
        domains: of every task.
    """

    def __init__(self, part: Adversary, width: int, family: Family, domains: Mapping[str, str]) -> None:
        super().__init__()
        self.part = part
        self.pooling = by_family(part.pooling, family)
        names = list(dict.fromkeys(domains.values()))
        self.places = {task: names.index(domain) for task, domain in domains.items()}
        single = part.multi_discriminator
        self.of = nn.ModuleList(
            _classifier(width, part.hidden, 1 if single else len(names)) for _ in (names if single else names[:1])
        )
        self.strength = 0.0

    def begin(self, step: int, steps: int) -> None:
        """Hear how far training is."""
        heard = step % self.part.discriminator_steps == self.part.discriminator_steps - 1
        full = 1.0 if self.part.ramp is None else ramp(step / max(1, steps), self.part.ramp)
        self.strength = full if heard else 0.0

    def targets(self, chunk: Chunk) -> Tensor:
        """1 where a row of a chunk belongs to a domain, ``[rows, domains]``."""
        found = torch.zeros(len(chunk.tokens), 1 + max(self.places.values()), device=chunk.tokens.device)
        for task, owned in chunk.owned.items():
            found[owned.rows, self.places[task]] = 1
        return found

    def forward(self, read: States | None, chunk: Chunk) -> Tensor:
        """The weighted loss of a chunk: summed over the domains of a row, a mean over rows.

        Args:
            read: what the trunk makes of the chunk; None where it has not read it.
            chunk: with all its rows.
        """
        if read is None:
            return torch.zeros((), device=chunk.tokens.device)
        pooled = reverse(pool(read.last, chunk.mask, self.pooling), self.strength)
        logits = torch.cat([classifier(pooled) for classifier in self.of], dim=1).float()
        return self.part.lambda_adv * self._loss(logits, self.targets(chunk)).sum(dim=1).mean()

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.part.multi_discriminator:
            return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return -targets * logits.log_softmax(dim=1)


def _classifier(width: int, hidden: int, outputs: int) -> nn.Module:
    if not hidden:
        return nn.Linear(width, outputs)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


@register("architecture", "task_discriminator")
@dataclass(frozen=True, kw_only=True)
class TaskDiscriminator(Adversary):
    """Hard sharing whose trunk is kept from telling which task a row belongs to.

    A discriminator learns to name the task, or the domain, of a row from its pooled states. Its gradient is reversed
    before it reaches the trunk, so that both play the minimax game in one pass: the discriminator lowers
    ``lambda_adv`` times its cross-entropy, the trunk raises it, more and more as training goes on. With several
    `discriminator_steps` the discriminator is ahead, as where both are trained in turn.

    Source: Liu, Qiu, Huang 2017, "Adversarial Multi-task Learning for Text Classification"; reversal and ramp: Ganin
    et al. 2016, "Domain-Adversarial Training of Neural Networks"; several discriminators, there one for every class:
    Pei et al. 2018, "Multi-Adversarial Domain Adaptation".

    Args:
        pooling: how a text becomes one vector, for heads and discriminator; `auto` is the last sub-word for a
            decoder, else the mean.
        dropout: before the last linear layer of each head.
        groups: the domain of a task; by default each is one by itself. A row counts once for each domain among the
            tasks that own it; text without labels takes part through a task that needs none (`MaskedLanguage`).
        lambda_adv: weight of the discriminator's loss; 0 is hard sharing.
        ramp: how steeply the gradient of the trunk rises to its full strength; None has it at full strength always.
        discriminator_steps: steps of the discriminator for each in which the trunk hears of it.
        hidden: width of the discriminator's hidden layer; 0 is none.
        multi_discriminator: a binary discriminator for every domain, in place of one that chooses among them.

    Relations:
        `SharedPrivate` gives every task states of its own beside those that are kept from telling.

    Example:
        >>> TaskDiscriminator(groups={"books": "books", "words_of_books": "books"}).lambda_adv
        0.05
    """

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        return _TaskDiscriminator(self, trunk, tasks)


class _TaskDiscriminator(Arrangement):
    def __init__(self, part: TaskDiscriminator, trunk: Trunk, tasks: Mapping[str, Task]) -> None:
        super().__init__(trunk, Heads(trunk, tasks, pooling=part.pooling, dropout=part.dropout))
        self.discriminator = part.discriminator(trunk, tasks)

    def begin(self, step: int, steps: int) -> None:
        if self.discriminator is not None:
            self.discriminator.begin(step, steps)

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        read = self.read(chunk)
        if self.training and self.discriminator is not None:
            self.extras["adversarial"] = self.discriminator(read, chunk)
        return self.answers(chunk, read)
