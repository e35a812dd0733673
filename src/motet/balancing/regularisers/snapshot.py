"""Parameters as they stood at a moment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Snapshot"]


class Snapshot(nn.Module):
    """Copies of some parameters, in buffers.

    Args:
        parameters: watched; copied as they are now.

    Example:
        >>> p = nn.Parameter(torch.tensor([1.0, 2.0]))
        >>> snapshot = Snapshot([p])
        >>> with torch.no_grad():
        ...     _ = p.add_(2.0)
        >>> snapshot.distance().item()
        8.0
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self._watched = list(parameters)  # a plain list: they belong to the model
        for place, p in enumerate(self._watched):
            self.register_buffer(str(place), p.detach().clone(memory_format=torch.contiguous_format))

    def take(self) -> None:
        """Copy the parameters as they are now."""
        for p, copy in zip(self._watched, self.buffers(), strict=True):
            copy.copy_(p.detach())

    def distance(self) -> Tensor:
        """The squared distance of the parameters from their copies."""
        pairs = zip(self._watched, self.buffers(), strict=True)
        return sum(((p - copy).square().sum() for p, copy in pairs), start=torch.zeros(()))
