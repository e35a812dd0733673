"""Supervised contrast: texts of one class lie together, those of other classes apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from motet.balancing.regularisers.base import Features, Parameters, Penalty, Regulariser
from motet.balancing.regularisers.vectors import directions
from motet.errors import Problem, nearest, positive
from motet.registry import register

__all__ = ["SupervisedContrastive"]


@register("regulariser", "supervised_contrastive")
@dataclass(frozen=True, kw_only=True)
class SupervisedContrastive(Regulariser):
    """Rows of a class are drawn together and away from the other rows of their task.

    For every row with another of its class in the batch: the mean, over these others, of minus the logarithm of their
    share in the sum of ``exp(cosine / temperature)`` over all others. The penalty is the mean over such rows, and then
    over tasks. Rows of different tasks are never compared, and a task that is held by distillation takes no part: it
    learns from its true labels no more.

    Source: Khosla et al. 2020, "Supervised Contrastive Learning", the form with the sum outside the logarithm; beside
    cross-entropy: Gunel et al. 2021, "Supervised Contrastive Learning for Pre-trained Language Model Fine-tuning".

    Args:
        temperature: the lower, the more the nearest rows of other classes count.
        tasks: those that take part; by default all that give a text one class.

    Relations:
        It needs several rows of a class in a batch: raise `training.tokens_per_batch` where there are many classes.

    Example:
        >>> SupervisedContrastive(temperature=0.07).tasks
        ()
    """

    weight: float = 0.1
    temperature: float = 0.1
    tasks: tuple[str, ...] = ()

    reads: ClassVar[bool] = True

    def faults(self) -> Iterable[Problem]:
        return positive(temperature=self.temperature)

    def problems(self, tasks: Mapping[str, bool]) -> Iterable[Problem]:
        able = [name for name, has_classes in tasks.items() if has_classes]
        if not self.tasks and not able:
            yield Problem("", "needs a task that gives a text one class, and there is none")
        for name in self.tasks:
            if name not in tasks:
                yield Problem("tasks", f"names no task. {nearest(name, able)}", name)
            elif name not in able:
                yield Problem("tasks", f"must give a text one class. {nearest(name, able)}", name)

    def build(self, parameters: Parameters) -> Penalty:
        return _SupervisedContrastive(self)


class _SupervisedContrastive(Penalty):
    def __init__(self, recipe: SupervisedContrastive) -> None:
        super().__init__()
        self.recipe = recipe

    def forward(self, features: Mapping[str, Features]) -> Tensor:
        named = [task for task in self.recipe.tasks or sorted(features) if task in features]
        labelled = [(features[task].states, labels) for task in named if (labels := features[task].labels) is not None]
        if not labelled:
            return torch.zeros(())
        found = [contrast(rows, labels, self.recipe.temperature) for rows, labels in labelled]
        sums, anchors = (torch.stack(column) for column in zip(*found, strict=True))
        return self.recipe.weight * (sums / anchors.clamp(min=1)).sum() / (anchors > 0).sum().clamp(min=1)


def contrast(rows: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The sum of the losses of the rows of one task, and how many rows have another of their class.

    Args:
        rows: ``[rows, width]``.
        labels: ``[rows]``.
        temperature: divides cosines.
    """
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    alike = (labels[:, None] == labels) & ~itself
    partners = alike.sum(dim=1)
    units = directions(rows)
    logits = (units @ units.T / temperature).masked_fill(itself, -torch.inf)
    shares = logits.log_softmax(dim=1).masked_fill(~alike, 0.0)
    return -(shares.sum(dim=1) / partners.clamp(min=1)).sum(), (partners > 0).sum()
