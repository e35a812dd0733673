"""Soft sharing: layers that tasks have of their own stay close to each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.balancing.regularisers.base import Features, Parameters, Penalty
from motet.balancing.regularisers.pairs import Paired
from motet.errors import Problem
from motet.registry import register

__all__ = ["SoftSharing"]

Layers = Mapping[str, nn.Parameter]
_REMEDY = "Give both layers of their own, as with architecture: {type: hard_sharing, task_layers: {%s: 1, %s: 1}}."


@register("regulariser", "soft_sharing")
@dataclass(frozen=True, kw_only=True)
class SoftSharing(Paired):
    """Corresponding layers of two tasks are drawn to each other: ``weight * sum(||phi_a - phi_b||)``.

    The sum is over the weights and biases that both tasks have of their own, in equal shape, below their heads; the
    penalty is its mean over pairs. Layers start at different random values, so at the beginning it is large.

    Source: Guo, Pasunuru and Bansal 2018, "Soft Layer-Specific Multi-Task Summarization with Entailment and Question
    Generation"; with the squared distance: Duong et al. 2015, "Low Resource Dependency Parsing: Cross-lingual
    Parameter Sharing in a Neural Network Parser".

    Args:
        squared: take the squared distance, which draws harder the further layers are apart and lets go of near ones.

    Relations:
        It takes an architecture with layers of tasks' own; `MMD` and its kind compare what a shared trunk says.

    Example:
        >>> SoftSharing(tasks=(("mood", "stars"),)).squared
        False
    """

    weight: float = 1e-3
    squared: bool = False

    def misfits(self, parameters: Parameters) -> Iterable[Problem]:
        layers = parameters.layers
        apart = [(a, b) for a, b in self.pairs(layers) if not _common(layers[a], layers[b])]
        if self.tasks or len(apart) == len(self.pairs(layers)):
            for pair in apart if self.tasks else apart[:1]:
                rule = f"compares layers that tasks have of their own, and {' and '.join(pair)} have none in common"
                yield Problem("tasks", rule, remedy=_REMEDY % pair)

    def build(self, parameters: Parameters) -> Penalty:
        return _SoftSharing(self, parameters.layers)


class _SoftSharing(Penalty):
    def __init__(self, recipe: SoftSharing, layers: Mapping[str, Layers]) -> None:
        super().__init__()
        self.recipe = recipe
        self._pairs = [found for a, b in recipe.pairs(layers) if (found := _common(layers[a], layers[b]))]

    def forward(self, features: Mapping[str, Features]) -> Tensor:
        found = [torch.stack([self._distance(one, other) for one, other in pair]).sum() for pair in self._pairs]
        return self.recipe.weight * torch.stack(found).mean()

    def _distance(self, one: Tensor, other: Tensor) -> Tensor:
        difference = one - other
        return difference.square().sum() if self.recipe.squared else torch.linalg.vector_norm(difference)


def _common(one: Layers, other: Layers) -> list[tuple[Tensor, Tensor]]:
    """The parameters that correspond to each other."""
    return [(one[name], other[name]) for name in one if name in other and one[name].shape == other[name].shape]
