"""Random orders that resume: the generator's state is a buffer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Orders"]


class Orders(nn.Module):
    """For each task, the other tasks of a step in random order.

    Numbers are drawn for all tasks of the experiment, so the order of two tasks does not depend on which others are
    there, nor on the order in which they are named.

    Args:
        tasks: how many there are in the experiment.
        seed: of the generator.
    """

    state: Tensor

    def __init__(self, tasks: int, seed: int) -> None:
        super().__init__()
        self.tasks = tasks
        self.register_buffer("state", torch.Generator().manual_seed(seed).get_state())

    def forward(self, rows: Tensor) -> Tensor:
        """The orders of one step.

        Args:
            rows: the tasks of the step, by their place among all.

        Returns:
            places in `rows`: a row for each task, with all places but its own.
        """
        generator = torch.Generator()
        generator.set_state(self.state)
        keys = torch.rand(self.tasks, self.tasks, generator=generator, dtype=torch.float64)[rows][:, rows]
        self.state.copy_(generator.get_state())
        return keys.fill_diagonal_(2.0).argsort(dim=1)[:, :-1]
