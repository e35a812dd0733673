"""Task gradients, taken apart and put together by a rule.

Every task's gradient of the shared parameters is a row of its own, over all batches of a step and all processes. The
dot products of the rows are the Gramian, from which the rule finds a weight for each; heads keep the plain gradients of
their tasks. One backward pass a task: where tasks bring different rows of text, each pass runs through its own alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from motet.balancing.base import Balancer

if TYPE_CHECKING:
    from motet.balancing.gradients.base import Weighting

__all__ = ["GradientBalancer", "gramian"]

_COLUMNS = 1 << 16  # a product of so many columns is exact enough in float32; their sum is taken in float64


class GradientBalancer(Balancer):
    """A rule at work on the gradients of the shared parameters.

    Held tasks are added with weight 1 and are not seen by the rule. The rows of a step are kept until `finish`:
    4 bytes for every shared parameter and task.

    Args:
        weighting: the rule.
        where: `shared` compares the gradients of all shared parameters; `last_layer` those of one layer, batch by
            batch, and weighs the losses, heads included.
        every: weights are found anew every so many steps; in between a step costs one backward pass.
    """

    kept: Tensor
    steps: Tensor

    def __init__(self, weighting: Weighting, where: str = "shared", every: int = 1) -> None:
        super().__init__()
        self.weighting = weighting
        self.where = where
        self.every = every
        self.register_buffer("kept", torch.ones(len(weighting.tasks), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._shared: list[nn.Parameter] = []
        self._last: list[nn.Parameter] = []
        self._rows: dict[str, Tensor] = {}
        self._losses: dict[str, Tensor] = {}

    def attach(self, shared: Sequence[nn.Parameter], last: Sequence[nn.Parameter]) -> None:
        self._shared, self._last = list(shared), list(last)

    @property
    def summed(self) -> Sequence[nn.Parameter]:
        return self._shared if self.where == "shared" else ()

    def backward(self, losses: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        fresh = int(self.steps) % self.every == 0
        if fresh and self.where == "shared":
            self._apart(losses, held)
            return
        if fresh:
            self._rows = {task: self._of_last(loss) for task, loss in losses.items()}
            self._losses = {task: loss.detach() for task, loss in losses.items()}
            rows = self._everywhere(self._last)
            if rows:
                self._weigh(rows)
        known = dict(zip(self.weighting.tasks, self.kept.tolist(), strict=True))
        self.weights = {task: torch.tensor(known[task]) for task in losses}
        terms = [*(known[task] * loss for task, loss in losses.items()), *held.values()]
        if not terms:
            return
        whole = torch.stack(terms).sum()
        if self.where == "shared":
            self._collect("", whole)
        else:
            whole.backward()  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Combine the rows of the step and leave the result in the shared parameters."""
        if self.where == "shared":
            rows = self._everywhere(self._shared)
            plain = rows.pop("", None)
            update = self._weigh(rows) if rows else None
            update = plain if update is None else update if plain is None else update + plain
            if update is not None:
                for p, part in zip(self._shared, torch.split(update, [p.numel() for p in self._shared]), strict=True):
                    p.grad = part.view_as(p)
        self.steps += 1
        self._rows, self._losses = {}, {}

    def _apart(self, losses: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        """A backward pass a task, and one for all that are held."""
        parts = [*losses.items(), *([("", torch.stack(list(held.values())).sum())] if held else [])]
        for number, (task, loss) in enumerate(parts, start=1):
            self._collect(task, loss, retain=number < len(parts))
        for task, loss in losses.items():
            self._losses[task] = self._losses.get(task, torch.zeros_like(loss)) + loss.detach()

    def _weigh(self, rows: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the rows of tasks that learn, by weights that the rule finds for them."""
        names = list(rows)
        weights = self.weighting(gramian(list(rows.values())), names, self._values(names))
        self.weights = {name: weight.float() for name, weight in zip(names, weights, strict=True)}
        self.kept[self.weighting.rows(names)] = weights.to(self.kept)
        combined = torch.zeros_like(rows[names[0]])
        for weight, row in zip(weights.tolist(), rows.values(), strict=True):
            combined.add_(row, alpha=weight)
        return combined

    def _collect(self, task: str, loss: Tensor, retain: bool = False) -> None:
        """Add to a row; the parameters of heads gather their gradients as ever."""
        for p in self._shared:
            p.grad = None
        loss.backward(retain_graph=retain)  # type: ignore[no-untyped-call]
        row = _flat([p.grad for p in self._shared], self._shared)
        for p in self._shared:
            p.grad = None
        self._rows[task] = self._rows[task] + row if task in self._rows else row

    def _of_last(self, loss: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, self._last, retain_graph=True, allow_unused=True)
        return _flat(found, self._last)

    def _everywhere(self, parameters: Sequence[nn.Parameter]) -> dict[str, Tensor]:
        """The rows over all processes, in the order of the alphabet."""
        if self.processes == 1:
            return {task: self._rows[task] for task in sorted(self._rows)}
        tasks = ["", *self.weighting.tasks]
        here = torch.tensor([float(task in self._rows) for task in tasks], device=self._shared[0].device)
        empty = torch.zeros(sum(p.numel() for p in parameters), device=here.device)
        there = self.total(here).tolist()
        return {t: self.total(self._rows.get(t, empty)) for t, count in zip(tasks, there, strict=True) if count}

    def _values(self, names: Sequence[str]) -> Tensor:
        nothing = torch.zeros((), device=self._shared[0].device)
        return torch.stack([self.total(self._losses.get(name, nothing)) for name in names]).double().cpu()


def _flat(gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> Tensor:
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])


def gramian(rows: Sequence[Tensor]) -> Tensor:
    """Dot products of some vectors, float64 on the CPU.

    Example:
        >>> gramian([torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0])]).tolist()
        [[1.0, 1.0], [1.0, 5.0]]
    """
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows[0].device)
    for start in range(0, len(rows[0]), _COLUMNS):
        part = torch.stack([row[start : start + _COLUMNS] for row in rows])
        total += (part @ part.T).double()
    return total.cpu()
