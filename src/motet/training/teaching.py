"""Makes the teachers of held tasks, from the weights at their peaks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from motet.runs import RunFolder
from motet.training.distillation import Annealing, OnlineTeacher, RecordedTeacher, SoftLabels, Teacher, WrittenTeacher
from motet.training.evaluation import predict_parts, write_parts
from motet.training.objective import Held
from motet.training.responses import Distill
from motet.training.snapshots import Snapshots
from motet.training.trainer import Trainer

__all__ = ["Teaching"]


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

    def begin(self, task: str, snapshot: str, response: Distill, since: int) -> str:
        """Hold a task by the weights of a snapshot; returns the file of its soft labels, empty without.

        Args:
            task: converged.
            snapshot: of its peak.
            response: how it is held.
            since: logical step of its switch.
        """
        recordable = self._trainer.model.tasks[task].recordable  # else an online teacher, as the plan has said
        file = self._record(task, snapshot, response) if recordable and response.teacher != "online" else ""
        self.resume(task, snapshot, file, response, since)
        return file

    def resume(self, task: str, snapshot: str, file: str, response: Distill, since: int) -> None:
        """Hold a task by a teacher that is on disk."""
        clock, end = self._trainer.clock, self._trainer.experiment.training.steps
        annealing = Annealing(lambda: clock.logical, since, end) if response.anneal else None
        self._trainer.objective.held[task] = Held(response, self._teacher(task, snapshot, file, response), annealing)

    def end(self, task: str) -> None:
        """Let a task go back to its true labels."""
        self._trainer.objective.held.pop(task, None)

    def _teacher(self, task: str, snapshot: str, file: str, response: Distill) -> Teacher:
        if file:
            examples = self._trainer.corpus.examples("train")[task]
            labels = SoftLabels.read(self._run.path / file, task, examples)
            return WrittenTeacher(labels) if response.teacher == "written" else RecordedTeacher(labels)
        return OnlineTeacher(self._trainer.model, self._model_weights(snapshot), self._trainer.devices)

    def _record(self, task: str, snapshot: str, response: Distill) -> str:
        started = time.perf_counter()
        examples = self._trainer.corpus.examples("train")[task]
        step = int(snapshot.split("-")[0])
        path = self._run.soft_labels / f"{task}-{snapshot}-{self._snapshots.events}.arrow"
        give = write_parts if response.teacher == "written" else predict_parts
        predicted = give(self._trainer.model, examples, self._trainer.devices)
        with self._weights(snapshot):
            if not self._trainer.devices.main:
                deque(predicted, maxlen=0)  # this process does its share of every part
            else:
                digest = self._snapshots.checkpoints.digest(snapshot)
                parts = ((part.ids, predictions) for part, predictions in predicted)
                SoftLabels.record(path, parts, {"task": task, "step": step, "digest": digest})
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
                seconds=round(seconds, 3),
                rows_per_second=round(len(examples.rows) / seconds, 1),
            )
        self._trainer.devices.barrier()
        return str(path.relative_to(self._run.path))

    @contextmanager
    def _weights(self, snapshot: str) -> Iterator[None]:
        """The model with the weights of a snapshot, and then as it was."""
        now = {name: value.clone() for name, value in self._trainer.weights().items()}
        self._trainer.put_weights(self._snapshots.checkpoints.weights(snapshot))
        try:
            yield
        finally:
            self._trainer.put_weights(now)

    def _model_weights(self, snapshot: str) -> Mapping[str, Tensor]:
        weights = self._snapshots.checkpoints.weights(snapshot)
        return {name: weight for name, weight in weights.items() if name in self._trainer.model.state_dict()}
