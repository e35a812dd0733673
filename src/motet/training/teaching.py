"""Makes the teachers of held tasks, from the weights at their peaks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from torch import Tensor

from motet.data.examples import Examples
from motet.runs import RunFolder
from motet.training.distillation import (
    Annealing,
    OnlineTeacher,
    RecordedTeacher,
    SoftLabels,
    Teacher,
    WrittenTeacher,
    copied,
)
from motet.training.evaluation import Predictions, predict_parts, write_parts
from motet.training.objective import Drawn, Held
from motet.training.responses import Distill
from motet.training.snapshots import Snapshots
from motet.training.trainer import Trainer

__all__ = ["Teaching", "mean_weights"]

_Part = tuple[Examples, Predictions]


class Teaching:
    """Begins, ends and resumes the distillation of tasks.

    Args:
        trainer: whose objective is changed.
        snapshots: with the weights of the peaks.
        run: where soft labels are recorded.
    """

    def __init__(self, trainer: Trainer, snapshots: Snapshots, run: RunFolder) -> None:
        self._trainer = trainer
        self._snapshots = snapshots
        self._run = run

    def begin(self, task: str, snapshots: Sequence[str], response: Distill, since: int) -> str:
        """Hold a task by the weights of snapshots; returns the file of its soft labels, empty without.

        Args:
            task: converged.
            snapshots: that the teacher is made of, that of the peak first.
            response: how it is held.
            since: logical step of its switch.
        """
        recordable = self._trainer.model.tasks[task].recordable  # else an online teacher, as the plan has said
        file = self._record(task, snapshots, response) if recordable and response.teacher != "online" else ""
        self.resume(task, snapshots, file, response, since)
        return file

    def resume(self, task: str, snapshots: Sequence[str], file: str, response: Distill, since: int) -> None:
        """Hold a task by a teacher that is on disk."""
        clock, end = self._trainer.clock, self._trainer.experiment.training.steps
        annealing = Annealing(lambda: clock.logical, since, end) if response.anneal else None
        self._trainer.objective.held[task] = Held(response, self._teacher(task, snapshots, file, response), annealing)

    def draw(self, task: str, snapshots: Sequence[str], response: Distill, used: float) -> None:
        """Let a task that still learns be taught by its best weights so far, beside the truth.

        Args:
            task: not converged.
            snapshots: that the teacher is made of, that of the peak first.
            response: how it would be held.
            used: the share of its patience that is used up; with 0 it learns from the truth alone.
        """
        guides = self._trainer.objective.guides
        before, names = guides.pop(task, None), tuple(snapshots)
        if used:
            if isinstance(before, Drawn) and before.snapshots == names:  # the name of a snapshot never comes again
                guides[task] = replace(before, used=used)
            else:
                guides[task] = Drawn(response, self._teacher(task, names, "", response), snapshots=names, used=used)

    def end(self, task: str) -> None:
        """Let a task go back to its true labels."""
        self._trainer.objective.held.pop(task, None)

    def _teacher(self, task: str, snapshots: Sequence[str], file: str, response: Distill) -> Teacher:
        if file:
            examples = self._trainer.corpus.examples("train")[task]
            labels = SoftLabels.read(self._run.path / file, task, examples)
            return WrittenTeacher(labels) if response.teacher == "written" else RecordedTeacher(labels)
        model, members = self._trainer.model, self._members(snapshots, response)
        return OnlineTeacher([copied(model, self._of_model(of)) for of in members], model.tasks, self._trainer.devices)

    def _record(self, task: str, snapshots: Sequence[str], response: Distill) -> str:
        started = time.perf_counter()
        examples = self._trainer.corpus.examples("train")[task]
        step = int(snapshots[0].split("-")[0])
        path = self._run.soft_labels / f"{task}-{snapshots[0]}-{self._snapshots.events}.arrow"
        with self._restoring():
            predicted = self._said(examples, self._members(snapshots, response), response)
            if not self._trainer.devices.main:
                deque(predicted, maxlen=0)  # this process does its share of every part
            else:
                digest = self._snapshots.checkpoints.digest(snapshots[0])
                parts = ((part.ids, predictions) for part, predictions in predicted)
                SoftLabels.record(path, parts, {"task": task, "step": step, "digest": digest, "snapshots": snapshots})
        if self._trainer.devices.main:
            seconds = time.perf_counter() - started
            self._trainer.journal.event(
                "soft_labels",
                step=self._trainer.clock.physical,
                task=task,
                file=str(path.relative_to(self._run.path)),
                rows=len(examples.rows),
                bytes=path.stat().st_size,
                digest=digest,
                teacher_step=step,
                snapshots=list(snapshots),
                seconds=round(seconds, 3),
                rows_per_second=round(len(examples.rows) / seconds, 1),
            )
        self._trainer.devices.barrier()
        return str(path.relative_to(self._run.path))

    def _members(self, snapshots: Sequence[str], response: Distill) -> Iterator[dict[str, Tensor]]:
        """The weights of every member of an ensemble; one where their mean is the teacher."""
        weights = map(self._snapshots.checkpoints.weights, snapshots)
        return weights if response.combine == "predictions" else iter([mean_weights(weights)])

    def _said(self, examples: Examples, members: Iterable[Mapping[str, Tensor]], response: Distill) -> Iterator[_Part]:
        """What a teacher says to some rows after the other; its members take turns."""
        give = write_parts if response.teacher == "written" else predict_parts
        turns = [(of, give(self._trainer.model, examples, self._trainer.devices)) for of in members]
        while said := [part for of, parts in turns if (part := self._next(of, parts)) is not None]:
            values = np.mean([predictions.values for _, predictions in said], axis=0)
            yield said[0][0], replace(said[0][1], values=values)

    def _next(self, weights: Mapping[str, Tensor], parts: Iterator[_Part]) -> _Part | None:
        self._trainer.put_weights(weights)
        return next(parts, None)

    @contextmanager
    def _restoring(self) -> Iterator[None]:
        """Leave the model with the weights that it has now."""
        now = {name: value.clone() for name, value in self._trainer.weights().items()}
        try:
            yield
        finally:
            self._trainer.put_weights(now)

    def _of_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {name: weight for name, weight in weights.items() if name in self._trainer.model.state_dict()}


def mean_weights(members: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of every tensor; of those that are no fractions, such as counters, the first.

    Example:
        >>> import torch
        >>> mean_weights([{"w": torch.tensor([1.0]), "n": torch.tensor(3)}, {"w": torch.tensor([2.0])}])
        {'w': tensor([1.5000]), 'n': tensor(3)}
    """
    first, *rest = members
    found = dict(first)
    for name, value in found.items():
        if rest and value.is_floating_point():
            found[name] = sum((of[name].double() for of in rest), value.double()).div(1 + len(rest)).to(value.dtype)
    return found
