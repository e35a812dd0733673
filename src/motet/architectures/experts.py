"""Experts: small feed-forward networks on the state of every token, and gates that weigh what they make of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from motet.architectures.heads import Pooling, pool

__all__ = ["Experts", "Gate", "Gating", "weighed"]

Gating = Literal["token", "text"]


class Experts(nn.Module):
    """Networks E_i(x) = x + U_i relu(D_i x + b_i), all of them in one product; they begin as identities.

    Args:
        count: of experts.
        width: size of the states.
        size: hidden features of each.

    Example:
        >>> Experts(3, 8, 4)(torch.ones(2, 5, 8)).shape
        torch.Size([2, 5, 3, 8])
    """

    def __init__(self, count: int, width: int, size: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(count, width, size).uniform_(-1, 1) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(count, size))
        self.up = nn.Parameter(torch.zeros(count, size, width))

    def forward(self, states: Tensor) -> Tensor:
        """What every expert makes of states ``[..., width]``: ``[..., experts, width]``."""
        inner = torch.relu(torch.einsum("...w,nws->...ns", states, self.down) + self.bias)
        return states.unsqueeze(-2) + torch.einsum("...ns,nsw->...nw", inner, self.up)

    def added(self, expert: int, states: Tensor) -> Tensor:
        """What one expert adds to states ``[..., width]``."""
        return torch.relu(states @ self.down[expert] + self.bias[expert]) @ self.up[expert]


class Gate(nn.Module):
    """Weights of experts that sum to one: softmax(W x), x being the state of a token or a whole text as one vector.

    Args:
        width: size of the states.
        count: of experts.
        gate: what the weights follow from.
        pooling: how a text becomes one vector.
    """

    def __init__(self, width: int, count: int, *, gate: Gating, pooling: Pooling) -> None:
        super().__init__()
        self.gate = gate
        self.pooling = pooling
        self.linear = nn.Linear(width, count)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Weights ``[rows, length or 1, experts]``, from states ``[rows, length, width]``."""
        given = pool(states, mask, self.pooling).unsqueeze(1) if self.gate == "text" else states
        weights: Tensor = self.linear(given).softmax(dim=-1)
        return weights


def weighed(weights: Tensor, made: Tensor) -> Tensor:
    """The sum of what experts make, ``[rows, length, experts, width]``, each by its weight."""
    return (weights.unsqueeze(-2) @ made).squeeze(-2)
