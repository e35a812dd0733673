"""Large draws that resume: a small generator, whose state is a buffer, seeds a large one wherever it is needed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import Self

__all__ = ["Draws"]

_SEEDS = 2**62


class Draws(nn.Module):
    """Generators, one after the other; the same in all processes, whatever each of them draws.

    Args:
        seed: of the generator of their seeds.

    Example:
        >>> draws = Draws(seed=0)
        >>> torch.rand(2, generator=draws()).equal(torch.rand(2, generator=draws()))
        False
    """

    state: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.register_buffer("state", torch.Generator().manual_seed(seed).get_state())

    def forward(self, device: torch.device | str = "cpu") -> torch.Generator:
        """The next generator.

        Args:
            device: where it is to draw.
        """
        seeds = torch.Generator()
        seeds.set_state(self.state)
        seed = int(torch.randint(_SEEDS, (), generator=seeds))
        self.state.copy_(seeds.get_state())
        return torch.Generator(device).manual_seed(seed)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self  # the state is read on the CPU in every step
