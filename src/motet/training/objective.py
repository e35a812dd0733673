"""A loss per live task: true labels while it learns, its own best predictions once it is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from motet.data.batches import Chunk, Owned
from motet.model import MultiTaskModel
from motet.tasks.base import Task
from motet.training.devices import Devices
from motet.training.distillation import Teacher
from motet.training.responses import Distill

__all__ = ["Held", "Kind", "Objective"]

Kind = Literal["truth", "distill", "blend", "off"]


@dataclass(frozen=True)
class Held:
    """A converged task that is held at its peak.

    Args:
        response: weight and temperature of the distillation.
        teacher: gives the logits to learn from.
    """

    response: Distill
    teacher: Teacher


@dataclass
class Objective:
    """Computes the losses of a step.

    Losses are means over all labelled units of the global batch, so they do not depend on how it is cut into chunks
    or spread over processes.

    Args:
        model: trained.
        devices: of this process.
        held: the tasks that are held, by name.
    """

    model: MultiTaskModel
    devices: Devices
    held: dict[str, Held] = field(default_factory=dict)

    def kind(self, task: str) -> Kind:
        """What a task learns from."""
        if task not in self.held:
            return "truth"
        return "blend" if self.held[task].response.blend else "distill"

    def losses(self, chunks: Sequence[Chunk]) -> dict[str, Tensor]:
        """This process's part of the weighted loss of every task in its chunks.

        Args:
            chunks: of the whole global batch.
        """
        units = _units(chunks, self.model.tasks)
        sums: dict[str, Tensor] = {}
        with self.devices.autocast():  # once a step: it keeps the weights that it has cast until it ends
            for index in self.devices.assign([chunk.padded for chunk in chunks]):
                chunk = chunks[index].to(self.devices.device)
                for name, values in self.model(chunk).items():
                    loss = self._loss(name, values, chunk, units[name])
                    sums[name] = sums[name] + loss if name in sums else loss
        return {name: self.model.tasks[name].weight * loss for name, loss in sums.items()}

    def _loss(self, name: str, logits: Tensor, chunk: Chunk, units: _Units) -> Tensor:
        task, owned = self.model.tasks[name], chunk.owned[name]
        if name not in self.held:
            return _truth(task, logits, owned) / max(1, units.labelled)
        held = self.held[name]
        teacher = held.teacher.logits(chunk, name)
        soft = task.distillation(logits, teacher, held.response.temperature) / max(1, units.all)
        if not held.response.blend:
            return held.response.weight * soft
        share = held.response.weight
        return share * soft + (1 - share) * _truth(task, logits, owned) / max(1, units.labelled)


@dataclass
class _Units:
    labelled: int = 0
    all: int = 0


def _truth(task: Task, logits: Tensor, owned: Owned) -> Tensor:
    if owned.target is None:
        raise ValueError("a chunk without targets has no true-label loss")
    return task.loss(logits, owned.target)


def _units(chunks: Sequence[Chunk], tasks: Mapping[str, Task]) -> Mapping[str, _Units]:
    units: dict[str, _Units] = {}
    for chunk in chunks:
        for name, owned in chunk.owned.items():
            of_task = units.setdefault(name, _Units())
            if owned.target is not None:
                of_task.labelled += tasks[name].labelled(owned.target)
                of_task.all += owned.target.numel()
    return units
