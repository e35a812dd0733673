"""The cut between trunk and heads: each head is passed through alone, and the trunk once for all tasks.

The states that heads read are cut from the graph of the trunk. The loss of every task is taken back to the cut; what
tasks want of the states is made one gradient, and that goes on through the trunk. So a step costs about as much as one
of a plain sum. What lies above the cut keeps plain gradients, as do the paths that reach the trunk elsewhere: inner
layers that tasks read, a decoder that writes, an embedding matrix that also speaks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from motet.balancing.base import Balancer
from motet.balancing.rows import HELD
from motet.errors import Problem, RecipeError

__all__ = ["Cut", "CutBalancer"]

_NOTHING_READ = "needs an architecture whose heads read what the trunk returns"


@dataclass
class Cut:
    """The last states of a chunk, cut from the graph of the trunk.

    Args:
        below: the states as the trunk gave them.
        above: the same states as heads read them.
        gradients: of the states, by task; tasks that do not read the chunk have none.
    """

    below: Tensor
    above: Tensor
    gradients: dict[str, Tensor] = field(default_factory=dict)

    def take(self, task: str) -> None:
        """Keep what has reached the cut as the gradient of a task."""
        if self.above.grad is not None:
            self.gradients[task] = self.above.grad
            self.above.grad = None

    @property
    def learning(self) -> dict[str, Tensor]:
        """The gradients of the tasks that learn, in the order of the alphabet."""
        return {task: self.gradients[task] for task in sorted(self.gradients) if task != HELD}


class CutBalancer(Balancer, ABC):
    """A balance that makes one gradient of what tasks want of the last states of the trunk.

    Between `begin` and `finish`, states that are computed with gradients are cut; all others are left alone. Each batch
    of a step is balanced by itself. Held tasks are added as they are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trunk: tuple[nn.Module, ...] = ()  # not a module of this one, whose state would be the trunk's too
        self._handle: RemovableHandle | None = None
        self._cuts: list[Cut] = []
        self._inner: list[tuple[Tensor, Tensor]] = []

    @abstractmethod
    def merge(self, cuts: Sequence[Cut], losses: Mapping[str, Tensor]) -> list[Tensor]:
        """The gradient of the states of each cut, made of those of the tasks that learn.

        Called in all processes, also in those without cuts.

        Args:
            cuts: of one batch.
            losses: this process's part of the losses of the tasks that learn.
        """

    def attach(self, trunk: nn.Module, shared: Sequence[nn.Parameter], last: Sequence[nn.Parameter]) -> None:
        """Hear what tasks share.

        Raises:
            RecipeError: nothing of the trunk is trained.
        """
        self._trunk = (trunk,)
        if not self._learns:
            remedy = "Train more of the encoder, or use a balance of losses."
            raise RecipeError(
                Problem("balance.where", "compares gradients of what is frozen", "representation", remedy)
            )

    def begin(self, step: int, steps: int) -> None:
        self._release()
        for trunk in self._trunk:
            self._handle = trunk.register_forward_hook(self._cut)

    def finish(self) -> None:
        self._release()

    def backward(self, losses: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        cuts, inner, self._cuts, self._inner = self._cuts, self._inner, [], []
        if losses and not cuts and self._learns:
            raise RecipeError(Problem("balance.where", _NOTHING_READ, "representation", "Use `shared`."))
        parts = [*losses.items(), *([(HELD, torch.stack(list(held.values())).sum())] if held else [])]
        for number, (task, loss) in enumerate(parts, start=1):
            # Modules above the cut may serve several tasks, so the graph is needed until the last of them.
            loss.backward(retain_graph=number < len(parts))  # type: ignore[no-untyped-call]
            for cut in cuts:
                cut.take(task)
        ends = [(cut.below, _sum(cut, merged)) for cut, merged in zip(cuts, self.merge(cuts, losses), strict=True)]
        ends += [(below, above.grad) for below, above in inner if above.grad is not None]
        if ends:
            torch.autograd.backward([below for below, _ in ends], [gradient for _, gradient in ends])

    @property
    def _learns(self) -> bool:
        return any(p.requires_grad for trunk in self._trunk for p in trunk.parameters())

    def _cut(self, trunk: nn.Module, given: Any, states: Any) -> Any:
        """States to read in place of those that the trunk has returned."""
        if not torch.is_grad_enabled() or not states.last.requires_grad:
            return states
        cut = Cut(states.last, _leaf(states.last))
        self._cuts.append(cut)
        layers = states.layers and tuple(cut.above if s is states.last else self._inside(s) for s in states.layers)
        return replace(states, last=cut.above, layers=layers)

    def _inside(self, layer: Tensor) -> Tensor:
        """Inner states are cut too, or every task that reads them would pass through the trunk by itself."""
        if not layer.requires_grad:
            return layer
        self._inner.append((layer, _leaf(layer)))
        return self._inner[-1][1]

    def _release(self) -> None:
        # Copies of the trunk, such as teachers, must not inherit the hook: it is there during a step alone.
        if self._handle is not None:
            self._handle.remove()
        self._handle, self._cuts, self._inner = None, [], []


def _leaf(states: Tensor) -> Tensor:
    return states.detach().requires_grad_()


def _sum(cut: Cut, merged: Tensor) -> Tensor:
    return merged + cut.gradients[HELD] if HELD in cut.gradients else merged
