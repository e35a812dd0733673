"""A loss per live task: true labels while it learns, its own best predictions once it is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from motet.balancing.regularisers.base import Features
from motet.data.batches import Chunk, Owned
from motet.model import MultiTaskModel
from motet.tasks.base import Task
from motet.training.devices import Devices
from motet.training.distillation import Annealing, Teacher
from motet.training.guidance import Guide, read_by_heads
from motet.training.representations import Representations
from motet.training.responses import Distill

__all__ = ["Drawn", "Held", "Kind", "Objective"]

Kind = Literal["truth", "distill", "blend", "off"]


@dataclass(frozen=True)
class Held:
    """A converged task that is held at its peak.

    Args:
        response: weight and temperature of the distillation.
        teacher: gives the logits to learn from.
        annealing: how much of the truth is learnt by now, where that changes.
    """

    response: Distill
    teacher: Teacher
    annealing: Annealing | None = None

    @property
    def temperature(self) -> float:
        """Softens teacher and student."""
        return self.response.temperature

    @property
    def shares(self) -> tuple[float, float]:
        """What the distillation loss and the true-label loss are multiplied by."""
        weight = self.response.weight
        if self.annealing is not None:
            return weight * (1 - self.annealing.truth), weight * self.annealing.truth
        return weight, 1 - weight if self.response.blend else 0.0

    def logits(self, chunk: Chunk, task: str) -> Tensor | None:
        """What the teacher says to the rows that the task owns in a chunk."""
        return self.teacher.logits(chunk, task)


@dataclass(frozen=True)
class Drawn(Held):
    """A task that makes no progress, and is drawn to where it was best.

    Args:
        snapshots: that the teacher is made of.
        used: the share of its patience that is used up.
    """

    snapshots: tuple[str, ...] = ()
    used: float = 0.0

    @property
    def shares(self) -> tuple[float, float]:
        return self.used * self.response.weight, 1 - self.used


@dataclass
class Objective:
    """Computes the losses of a step.

    Losses are means over all labelled units of the global batch, so they do not depend on how it is cut into chunks
    or spread over processes.

    Args:
        model: trained.
        devices: of this process.
        held: the tasks that are held, by name.
        representations: kept beside the losses, where they are wanted.
        guides: by task, what teaches it beside its labels until it is held: a model of another run, or its own best
            weights so far.

    Attributes:
        extras: this process's part of what the architecture adds to the losses of the batch read last, by name.
    """

    model: MultiTaskModel
    devices: Devices
    held: dict[str, Held] = field(default_factory=dict)
    representations: Representations | None = None
    guides: dict[str, Guide | Held] = field(default_factory=dict)
    extras: dict[str, Tensor] = field(default_factory=dict, init=False)

    @property
    def features(self) -> Mapping[str, Features]:
        """The representations of the rows that `losses` has read last; empty where nobody wants them."""
        return {} if self.representations is None else self.representations.features

    @property
    def thinned(self) -> dict[str, float]:
        """The part of their rows that held tasks take, where it is not all of them."""
        return {task: held.response.share for task, held in self.held.items() if held.response.share < 1}

    def kind(self, task: str) -> Kind:
        """What a task learns from."""
        if task not in self.held:
            return "blend" if task in self.guides else "truth"
        response = self.held[task].response
        return "blend" if response.blend or response.anneal else "distill"

    def losses(self, chunks: Sequence[Chunk]) -> dict[str, Tensor]:
        """This process's part of the weighted loss of every task in its chunks.

        Args:
            chunks: of the whole global batch.
        """
        tasks, chunks = self.model.tasks, [self._taught(chunk) for chunk in chunks]
        sizes = {name: _sizes(tasks[name], owned) for name, owned in _by_task(chunks).items()}
        if self.representations is not None:
            self.representations.begin()
        said: dict[tuple[str, int], list[_Said]] = {}
        sums: dict[str, Tensor] = {}
        self.extras, rows = {}, sum(len(chunk.tokens) for chunk in chunks)
        with self.devices.autocast():  # once a step: it keeps the weights that it has cast until it ends
            for chunk in (chunk for chunk in chunks if chunk.shard == self.devices.rank):
                chunk = chunk.to(self.devices.device)
                compared = self._compared(chunk)
                with read_by_heads(self.model.arrangement, compared) as features:
                    answered = self._read(chunk)
                self._keep_extras(len(chunk.tokens) / rows)
                for name, logits in answered.items():
                    lesson = self._lesson(name)
                    teacher = None if lesson is None else lesson.logits(chunk, name)
                    for place, (weight, of) in enumerate(self._answers(name, logits)):
                        piece = _Said(of, teacher, chunk.owned[name], weight)
                        if tasks[name].group:
                            said.setdefault((name, place), []).append(piece)  # an example may lie in several chunks
                        else:
                            _add(sums, name, self._loss(name, piece, sizes[name]))
                for name, read in features.items():
                    _add(sums, name, compared[name].distance(read, name) / max(1, sizes[name].units))
            for (name, _), pieces in said.items():
                _add(sums, name, self._loss(name, _joined(pieces), sizes[name]))
        return {name: tasks[name].weight * sums[name] for name in sizes if name in sums}

    def _read(self, chunk: Chunk) -> dict[str, Tensor]:
        with nullcontext() if self.representations is None else self.representations.reading(chunk, self.held):
            logits: dict[str, Tensor] = self.model(chunk)
        return logits

    def _answers(self, name: str, logits: Tensor) -> list[tuple[float, Tensor]]:
        """What is taught to a task, each with the weight of its loss: its answer, and an early one if there is any."""
        early = self.model.arrangement.early.get(name)
        return [(1.0, logits)] if early is None else [(1.0, logits), early]

    def _lesson(self, name: str) -> Guide | Held | None:
        """Who else teaches a task."""
        return self.held.get(name) or self.guides.get(name)

    def _compared(self, chunk: Chunk) -> dict[str, Guide]:
        """The teachers whose heads are to read what those of the tasks of a chunk read."""
        lessons = ((name, self._lesson(name)) for name in chunk.owned)
        return {name: lesson for name, lesson in lessons if isinstance(lesson, Guide) and lesson.recipe.states}

    def _keep_extras(self, share: float) -> None:
        for name, value in self.model.arrangement.extras.items():
            self.extras[name] = self.extras.get(name, 0) + share * value.float()

    def _taught(self, chunk: Chunk) -> Chunk:
        """A chunk with the targets that teachers put in place of the true ones."""
        for name in chunk.owned:
            if name in self.held:
                chunk = self.held[name].teacher.rewrite(chunk, name)
        return chunk

    def _loss(self, name: str, said: _Said, sizes: _Sizes) -> Tensor:
        task, taught = self.model.tasks[name], self._lesson(name)
        if taught is None or said.teacher is None:  # true labels, or those that the teacher has written
            weight = said.weight * (1.0 if taught is None else taught.shares[0])
            return weight * _truth(task, said) / max(1, sizes.labelled)
        soft, true = (said.weight * share for share in taught.shares)
        loss = task.distillation(said.logits, said.teacher, said.owned.lengths, taught.temperature)
        loss = soft * loss / max(1, sizes.answered)
        return loss + true * _truth(task, said) / max(1, sizes.labelled) if true else loss


@dataclass(frozen=True)
class _Said:
    """What model and teacher say to some rows of a task."""

    logits: Tensor
    teacher: Tensor | None
    owned: Owned
    weight: float = 1.0


@dataclass(frozen=True)
class _Sizes:
    """How many answers and units the losses of a task are the sums of."""

    labelled: int
    answered: int
    units: int


def _by_task(chunks: Sequence[Chunk]) -> dict[str, list[Owned]]:
    found: dict[str, list[Owned]] = {}
    for chunk in chunks:
        for name, owned in chunk.owned.items():
            found.setdefault(name, []).append(owned)
    return found


def _sizes(task: Task, parts: Sequence[Owned]) -> _Sizes:
    units = sum(int(p.lengths.sum()) for p in parts)
    parts = [_tied(parts)] if task.group else parts
    labelled = [0 if p.target is None else task.labelled(p.target, p.lengths) for p in parts]
    return _Sizes(sum(labelled), sum(task.answered(p.lengths) for p in parts), units)


def _add(sums: dict[str, Tensor], name: str, loss: Tensor) -> None:
    sums[name] = sums[name] + loss if name in sums else loss


def _truth(task: Task, said: _Said) -> Tensor:
    if said.owned.target is None:
        raise ValueError("a chunk without targets has no true-label loss")
    return task.loss(said.logits, said.owned.target, said.owned.lengths)


def _joined(pieces: Sequence[_Said]) -> _Said:
    """The rows of several chunks, those of an example one after the other."""
    order = torch.from_numpy(_order(piece.owned for piece in pieces)).to(pieces[0].logits.device)
    teachers = [piece.teacher for piece in pieces if piece.teacher is not None]
    return _Said(
        torch.cat([piece.logits for piece in pieces])[order],
        torch.cat(teachers)[order] if teachers else None,
        _tied([piece.owned for piece in pieces]),
        pieces[0].weight,
    )


def _tied(parts: Sequence[Owned]) -> Owned:
    """Rows of one unit each, by example, with the size of every example as its length."""
    order = _order(parts)
    groups = np.concatenate([_groups(part) for part in parts])[order]
    targets = [part.target for part in parts if part.target is not None]
    return replace(
        parts[0],
        lengths=np.unique(groups, return_counts=True)[1],
        target=torch.cat(targets)[torch.from_numpy(order).to(targets[0].device)] if targets else None,
    )


def _order(parts: Iterable[Owned]) -> np.ndarray:
    """The rows by example, and within one as they lie in the table."""
    both = [(_groups(part), part.examples) for part in parts]
    groups, rows = (np.concatenate(column) for column in zip(*both, strict=True))
    return np.lexsort([rows, groups])


def _groups(owned: Owned) -> np.ndarray:
    if owned.groups is None:
        raise ValueError("rows that are not tied together")
    return owned.groups
