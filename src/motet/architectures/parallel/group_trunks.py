"""Groups of tasks share different upper layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.architectures.columns import Columned, Columns
from motet.architectures.heads import Heads
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.errors import Problem, nearest
from motet.registry import register
from motet.tasks.base import Task

__all__ = ["GroupTrunks", "Grouped"]


@register("architecture", "group_trunks")
@dataclass(frozen=True, kw_only=True)
class GroupTrunks(Columned):
    """Groups of tasks have upper layers of their own, above bottom layers that all share.

    Every group begins with a copy of the trunk's upper layers and reads the rows of its tasks alone, in a pass of its
    own. Tasks in no group keep the trunk's own layers; where every task is in a group, the first group keeps them.

    Source: Pasunuru, Bansal 2017, "Multi-Task Video Captioning with Video and Entailment Generation"; with layers
    that some tasks share and others do not: Guo, Pasunuru, Bansal 2018, "Dynamic Multi-Level Multi-Task Learning for
    Sentence Simplification".

    Args:
        groups: tasks by group, such as ``{words: [tags, places], texts: [mood, topic]}``; at least one.

    Relations:
        One group of all tasks is `HardSharing`; groups of one task each are `LayerwiseSoftSharing` without its tie.

    Example:
        >>> GroupTrunks(groups={"words": ("tags", "places"), "texts": ("mood",)}, shared_layers=6).shared_layers
        6
    """

    groups: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", {group: tuple(names) for group, names in self.groups.items()})
        super().__post_init__()

    def faults(self) -> Iterator[Problem]:
        yield from super().faults()
        seen: set[str] = set()
        if not self.groups:
            yield Problem("groups", "must name at least one group of tasks")
        for group, names in self.groups.items():
            if not names:
                yield Problem(f"groups.{group}", "must name at least one task")
            for name in names:
                if name in seen:
                    yield Problem(f"groups.{group}", "names a task for the second time", name)
                seen.add(name)

    def misfits(self, tasks: Mapping[str, Task], trunk: Trunk) -> Iterator[Problem]:
        for group, names in self.groups.items():
            for name in names:
                if name not in tasks:
                    yield Problem(f"architecture.groups.{group}", f"names no task. {nearest(name, tasks)}", name)

    def copies(self, tasks: Mapping[str, Task]) -> int:
        return len(self.groups) - (not self._left(tasks))

    def build(self, trunk: Trunk, tasks: Mapping[str, Task]) -> Arrangement:
        heads = Heads(trunk, tasks, pooling=self.pooling, dropout=self.dropout)
        groups, left = list(self.groups.values()), self._left(tasks)
        return Grouped(trunk, heads, [left, *groups] if left else groups, self.shared_layers)

    def _left(self, tasks: Mapping[str, Task]) -> list[str]:
        """The tasks in no group."""
        return [name for name in tasks if not any(name in names for names in self.groups.values())]


class Grouped(Arrangement):
    """Upper layers for each group of tasks, which read the rows of these tasks alone.

    Args:
        trunk: its own layers are those of the first group.
        heads: of the tasks.
        groups: the tasks of each.
        first: position of the first layer that groups do not share.
    """

    one_pass: ClassVar[bool] = False

    def __init__(self, trunk: Trunk, heads: Heads, groups: Sequence[Sequence[str]], first: int) -> None:
        super().__init__(trunk, heads)
        self.groups = [list(names) for names in groups]
        self.columns = Columns(trunk, [names[0] for names in self.groups[1:]], first)

    def forward(self, chunk: Chunk) -> dict[str, Tensor]:
        self.extras = {}
        logits: dict[str, Tensor] = {}
        for names in self.groups:
            here = [name for name in names if name in chunk.owned]
            if here:
                logits |= self._answers(names[0], chunk if len(here) == len(chunk.owned) else chunk.part(*here))
        return {name: logits[name] for name in chunk.owned}

    def write(self, chunk: Chunk, task: Task) -> list[np.ndarray]:
        with self.columns.standing_in(self._group(task.name)[0], self.trunk):
            return super().write(chunk, task)

    def own_parameters(self, task: str) -> Iterable[nn.Parameter]:
        yield from super().own_parameters(task)
        if self._group(task) == [task]:
            yield from self.layers(task).parameters()

    def pretrained_parameters(self) -> Iterable[nn.Parameter]:
        yield from super().pretrained_parameters()
        yield from self.columns.parameters()

    def layers(self, column: str) -> nn.ModuleList:
        """The layers that a group has of its own, by its first task."""
        return self.columns.stack(column) if column in self.columns else self.trunk.layers[self.columns.first :]

    def _group(self, task: str) -> list[str]:
        return next(names for names in self.groups if task in names)

    def _answers(self, column: str, part: Chunk) -> dict[str, Tensor]:
        # writing tasks may read the rows again behind the first pass, so that the layers have to be there still
        with self.columns.standing_in(column, self.trunk):
            return self.answers(part, self.read(part))
