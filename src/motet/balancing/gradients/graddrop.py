"""GradDrop: at every coordinate one sign is picked, and gradients of the other sign are dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from motet.balancing.base import Balancer, Facts
from motet.balancing.cut import Cut, CutBalancer
from motet.balancing.gradients.base import GradientBalance, Where
from motet.balancing.gradients.draws import Draws
from motet.balancing.gradients.rules import Combining
from motet.balancing.losses.checks import no_strangers
from motet.errors import Problem, one_of, require
from motet.registry import register

__all__ = ["GradDrop", "shares"]

Purity = Literal["auto", "element", "unit"]

_COLUMNS = 1 << 20  # of so many at a time signs are picked


@register("balance", "graddrop")
@dataclass(frozen=True, kw_only=True)
class GradDrop(GradientBalance):
    """The sum of the task gradients, without those whose sign was not picked.

    At every coordinate the positive sign is picked with a chance that is its purity: the positive part of what tasks
    want there, over all that they want in either direction. Where all agree nothing is dropped, so that the update is
    on the scale of the sum of gradients. What is reported as the weight of a task is how much of the square of its
    gradient's length was kept.

    At the representation a coordinate is an `element` of the states if all tasks read the same rows. Tasks with rows of
    their own never meet in an element, so there it is a `unit`, one of the numbers of which each state is made: the
    gradients, times the signs of the states, are summed over all rows and places of a batch, and a sign is picked for
    each unit and task alike. `auto` looks at every batch. A task that has nearly converged hardly moves a purity, and
    stops nothing.

    Source: Chen et al. 2020, "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout".

    Args:
        leak: how much of what is dropped passes all the same, 0 to 1.
        leaks: the same by task, for those that differ; a task with 1 is never dropped.
        purity: what is a coordinate at the `representation`.
        seed: of the signs.

    Relations:
        `PCGrad` takes conflicts away direction by direction, this rule number by number.

    Example:
        >>> rule = GradDrop().weighting(["a", "b"])
        >>> rule(torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, -1.0]]), ["a", "b"])
        tensor([ 4.,  2., -1.])
    """

    combines: ClassVar[bool] = True

    where: Where = "representation"
    leak: float = 0.0
    leaks: Mapping[str, float] = field(default_factory=dict)
    purity: Purity = "auto"
    seed: int = 0

    def faults(self) -> Iterable[Problem]:
        yield from one_of(Purity, purity=self.purity)
        for name, leak in {"leak": self.leak, **{f"leaks.{task}": leak for task, leak in self.leaks.items()}}.items():
            if not 0 <= leak <= 1:
                yield Problem(name, "must be 0 to 1", str(leak))

    def problems(self, tasks: Sequence[str]) -> Iterable[Problem]:
        yield from no_strangers("leaks", self.leaks, tasks)

    def weighting(self, tasks: Sequence[str]) -> Combining:
        return _OnParameters(tasks, self)

    def build(self, tasks: Mapping[str, Facts]) -> Balancer:
        if self.where != "representation":
            return super().build(tasks)
        require(self.problems(list(tasks)))
        return _OnStates(list(tasks), self)

    def leaks_of(self, tasks: Iterable[str], like: Tensor) -> Tensor:
        """How much of what is dropped passes, a row for each task."""
        return like.new_tensor([[self.leaks.get(task, self.leak)] for task in tasks])


class _OnParameters(Combining):
    def __init__(self, tasks: Sequence[str], part: GradDrop) -> None:
        super().__init__(tasks)
        self.part = part
        self.draws = Draws(part.seed)

    def combine(self, rows: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        random, leaks = self.draws(rows.device), self.part.leaks_of(names, rows)
        for piece in torch.split(rows, _COLUMNS, dim=1):
            piece *= shares(piece, leaks, random)
        return rows.sum(dim=0)


class _OnStates(CutBalancer):
    origin: Tensor

    def __init__(self, tasks: Sequence[str], part: GradDrop) -> None:
        super().__init__()
        self.tasks = tuple(sorted(tasks))
        self.part = part
        self.draws = Draws(part.seed)
        self.register_buffer("origin", torch.zeros((), dtype=torch.float64), persistent=False)  # knows the device

    def merge(self, cuts: Sequence[Cut], losses: Mapping[str, Tensor]) -> list[Tensor]:
        met = self._meeting(cuts)
        random = self.draws(self.origin.device)
        of_units = {} if met.in_elements else self._of_units(cuts, met, random)
        squares = self.origin.new_zeros(2, len(self.tasks))  # of what is kept, and of everything
        merged = []
        for cut in cuts:
            kept = of_units or self._of_elements(cut, random)
            parts = {task: gradient * kept[task] for task, gradient in cut.learning.items()}
            for task, part in parts.items():
                both = torch.stack([part, cut.gradients[task]]).double()
                squares[:, self.tasks.index(task)] += (both * both[1]).flatten(1).sum(dim=1)
            merged.append(sum(parts.values(), torch.zeros_like(cut.below)))
        self._report(met.tasks, self.total(squares))
        return merged

    def _meeting(self, cuts: Sequence[Cut]) -> _Meeting:
        """Where tasks meet, over all processes."""
        here = {task for cut in cuts for task in cut.learning}
        apart = self.part.purity == "auto" and not all(_same_rows(cut, here) for cut in cuts)
        width = cuts[0].below.shape[-1] if here else 0
        found = [apart, bool(here), width, *(task in here for task in self.tasks)]
        anywhere, readers, widths, *counts = self.total(self.origin.new_tensor(found)).tolist()
        same = not anywhere and all(count in (0, readers) for count in counts)
        return _Meeting(
            same if self.part.purity == "auto" else self.part.purity == "element",
            [task for task, count in zip(self.tasks, counts, strict=True) if count],
            int(widths / readers) if readers else 0,
        )

    def _of_units(self, cuts: Sequence[Cut], met: _Meeting, random: torch.Generator) -> dict[str, Tensor]:
        """How much of each unit is kept, by task."""
        table = self.origin.new_zeros(len(self.tasks), met.width)
        for cut in cuts:
            for task, gradient in cut.learning.items():
                table[self.tasks.index(task)] += (gradient * cut.below.sign()).flatten(0, -2).sum(dim=0)
        rows = self.total(table)[[self.tasks.index(task) for task in met.tasks]]
        return dict(zip(met.tasks, shares(rows, self.part.leaks_of(met.tasks, rows), random).unbind(), strict=True))

    def _of_elements(self, cut: Cut, random: torch.Generator) -> dict[str, Tensor]:
        """How much of each element of a chunk is kept, by task."""
        if not cut.learning:
            return {}
        rows = torch.stack([gradient.reshape(-1) for gradient in cut.learning.values()])
        kept = shares(rows, self.part.leaks_of(cut.learning, rows), random)
        return {task: row.view_as(cut.below) for task, row in zip(cut.learning, kept, strict=True)}

    def _report(self, tasks: Iterable[str], squares: Tensor) -> None:
        kept = torch.where(squares[1] > 0, squares[0] / squares[1], 1.0).float()
        self.weights = {task: kept[self.tasks.index(task)] for task in tasks}


class _Meeting(NamedTuple):
    """Where the tasks of a batch meet.

    Args:
        in_elements: whether signs are picked for each element of the states, not for each unit.
        tasks: those with a gradient.
        width: units of a state.
    """

    in_elements: bool
    tasks: list[str]
    width: int


def shares(rows: Tensor, leaks: Tensor, random: torch.Generator) -> Tensor:
    """How much of each number passes, once a sign is picked for each column.

    Args:
        rows: a gradient in each.
        leaks: how much passes of what is dropped, ``[rows, 1]``.
        random: picks the signs.

    Example:
        >>> shares(torch.tensor([[1.0, -1.0], [2.0, -3.0]]), torch.zeros(2, 1), torch.Generator())
        tensor([[1., 1.],
                [1., 1.]])
    """
    up, down = rows.clamp(min=0).sum(dim=0), (-rows).clamp(min=0).sum(dim=0)
    purity = (up / (up + down)).nan_to_num(nan=1.0)
    # The draws are above 0 and at most 1, so that a sign that no task wants is never picked.
    positive = purity >= 1 - torch.rand(up.shape, generator=random, device=up.device)
    return leaks + (1 - leaks) * ((rows >= 0) == positive)


def _same_rows(cut: Cut, tasks: Collection[str]) -> bool:
    """Whether all of some tasks have a gradient at the same rows of a chunk."""
    if not cut.learning:
        return True
    touched = torch.stack([gradient.flatten(1).any(dim=1) for gradient in cut.learning.values()])
    return set(cut.learning) == tasks and bool((touched == touched[0]).all())
