"""Rules at the representation: what tasks want of the last states of the trunk, weighed by a Gramian."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from motet.balancing.cut import Cut, CutBalancer
from motet.balancing.gradients.geometry import conflict
from motet.balancing.gradients.rules import Rule

__all__ = ["RepresentationBalancer", "lengths_alone", "products"]

_COLUMNS = 1 << 18


class RepresentationBalancer(CutBalancer):
    """A rule at work on the gradients of the last states of the trunk.

    For MGDA this is MGDA-UB: the gradients of the states bound those of the parameters. The Gramian is taken over all
    chunks of a batch and all processes. Tasks share no coordinate where they read different rows: their gradients count
    as orthogonal, whatever they want, so that lengths alone are compared. A task that does not read the last states is
    not seen by the rule. Accumulated batches are weighed one by one.

    Source: Sener, Koltun 2018, "Multi-Task Learning as Multi-Objective Optimization".

    Args:
        rule: one that finds a weight for each task.
        every: weights are found anew every so many steps and kept in between.
        record: whether `conflict` is kept; it is that of the last batch of a step.

    Relations:
        `GradientBalancer` compares the gradients of parameters.
    """

    kept: Tensor
    steps: Tensor

    def __init__(self, rule: Rule, every: int = 1, *, record: bool = False) -> None:
        super().__init__()
        self.rule = rule
        self.every = every
        self.record = record
        self.register_buffer("kept", torch.ones(len(rule.tasks), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def fallbacks(self) -> int:
        return int(self.rule.fallbacks)

    def begin(self, step: int, steps: int) -> None:
        super().begin(step, steps)
        self.conflict = {}

    def finish(self) -> None:
        super().finish()
        self.steps += 1

    def merge(self, cuts: Sequence[Cut], losses: Mapping[str, Tensor]) -> list[Tensor]:
        fresh = int(self.steps) % self.every == 0
        seen = self._weigh(cuts, losses) if fresh else {task for cut in cuts for task in cut.learning}
        known = dict(zip(self.rule.tasks, self.kept.tolist(), strict=True))
        self.weights = {task: torch.tensor(known[task]) for task in sorted(seen)}
        return [_weighted(cut, known) for cut in cuts]

    def _weigh(self, cuts: Sequence[Cut], losses: Mapping[str, Tensor]) -> set[str]:
        """Find weights for the tasks that have a gradient in some process; returns their names."""
        table = self.total(self._table(cuts, losses)).cpu()
        places = table[:, -1].nonzero().flatten()
        names = [self.rule.tasks[place] for place in places.tolist()]
        if names:
            gramian = table[places][:, places]
            weights = self.rule(gramian, names, table[places, -2])
            self.kept[places] = weights.to(self.kept)
            self.conflict = conflict(gramian, names) if self.record else {}
        return set(names)

    def _table(self, cuts: Sequence[Cut], losses: Mapping[str, Tensor]) -> Tensor:
        """For every known task a row: products with all tasks, its loss, and whether it has a gradient."""
        table = self.kept.new_zeros(len(self.kept), len(self.kept) + 2)
        for task, loss in losses.items():
            table[self.rule.tasks.index(task), -2] = loss.detach()
        for cut in cuts:
            if cut.learning:
                places = self.rule.rows(cut.learning).to(table.device)
                table[places[:, None], places] += products(list(cut.learning.values()))
                table[places, -1] = 1
        return table


def products(vectors: Sequence[Tensor]) -> Tensor:
    """Dot products in double precision, where the vectors are.

    Example:
        >>> products([torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 2.0]])]).tolist()
        [[1.0, 1.0], [1.0, 5.0]]
    """
    pieces = zip(*(torch.split(vector.reshape(-1), _COLUMNS) for vector in vectors), strict=True)
    parts = (torch.stack(piece).double() for piece in pieces)
    return torch.stack([part @ part.T for part in parts]).sum(dim=0)


def lengths_alone(together: Iterable[Sequence[str]]) -> list[str]:
    """What to tell somebody who compares gradients at the representation.

    Args:
        together: groups of tasks, each with those that read the same rows; every task is in one.

    Example:
        >>> lengths_alone([("mood", "topic"), ("tags",)])
        ['tags: shares no row with another task, so that at the representation only the length of its gradient counts']
    """
    rule = "shares no row with another task, so that at the representation only the length of its gradient counts"
    return [f"{group[0]}: {rule}" for group in together if len(group) == 1]


def _weighted(cut: Cut, weights: Mapping[str, float]) -> Tensor:
    combined = torch.zeros_like(cut.below)
    for task, gradient in cut.learning.items():
        combined.add_(gradient, alpha=weights[task])
    return combined
