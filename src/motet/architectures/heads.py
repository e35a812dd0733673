"""From the states of a trunk to logits: what each answer shape reads."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from motet.data.batches import Owned

__all__ = ["Head", "Pooling", "pool"]

Pooling = Literal["mean", "cls"]


class Head(nn.Module):
    """Dropout and one linear layer, on a pooled text or on the first sub-word of every word.

    Args:
        level: "text" or "word".
        width: size of the states.
        outputs: logits a unit.
        pooling: how a text becomes one vector.
        dropout: share of the features dropped while training.
    """

    def __init__(self, level: str, width: int, outputs: int, *, pooling: Pooling, dropout: float) -> None:
        super().__init__()
        self.level = level
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, outputs)

    def forward(self, states: Tensor, mask: Tensor, owned: Owned) -> Tensor:
        """Logits ``[units, outputs]``, from the states ``[rows, length, width]`` of a whole chunk."""
        if self.level == "word":
            if owned.words is None:
                raise ValueError("a task that answers words needs the positions of the words")
            return self._logits(states[owned.words[0], owned.words[1]])
        if len(owned.rows) != len(states):
            states, mask = states[owned.rows], mask[owned.rows]
        return self._logits(pool(states, mask, self.pooling))

    def _logits(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.dropout(features))
        return logits


def pool(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """One vector a row: the mean over real tokens, or the first token."""
    if pooling == "cls":
        return states[:, 0]
    weights = mask.to(states.dtype).unsqueeze(-1)
    return torch.sum(states * weights, dim=1) / weights.sum(dim=1)
