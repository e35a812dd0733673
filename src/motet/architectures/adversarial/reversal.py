"""Gradient reversal: states pass as they are, their gradient turns round."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["ramp", "reverse"]


def reverse(states: Tensor, strength: float) -> Tensor:
    """The same states, whose gradient goes back multiplied by minus a strength.

    What reads them learns its own loss, and what made them learns to raise it.

    Source: Ganin, Lempitsky 2015, "Unsupervised Domain Adaptation by Backpropagation"; Ganin et al. 2016,
    "Domain-Adversarial Training of Neural Networks".

    Args:
        states: of any shape.
        strength: at 0 nothing goes back.

    Example:
        >>> states = torch.tensor([2.0, 3.0], requires_grad=True)
        >>> reverse(states, 0.5).square().sum().backward()
        >>> states.grad
        tensor([-2., -3.])
    """
    if not strength:
        return states.detach()
    turned: Tensor = _Reversal.apply(states, strength)  # type: ignore[no-untyped-call]
    return turned


def ramp(progress: float, steepness: float) -> float:
    """How strong the reversal is so far into training: from 0 towards 1, so that a blind discriminator misleads nobody.

    Source: Ganin et al. 2016, with a steepness of 10.

    Args:
        progress: from 0 to 1.
        steepness: of the rise at the beginning.

    Example:
        >>> [round(ramp(progress, 10.0), 3) for progress in (0.0, 0.1, 0.5, 1.0)]
        [0.0, 0.462, 0.987, 1.0]
    """
    return 2 / (1 + math.exp(-steepness * progress)) - 1


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return states.view_as(states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None
