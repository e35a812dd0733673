"""Makes the teachers of held tasks, from the weights at their peaks."""

from __future__ import annotations

import time
from collections.abc import Mapping

from torch import Tensor

from motet.runs import RunFolder
from motet.training.distillation import OnlineTeacher, RecordedTeacher, SoftLabels, Teacher
from motet.training.evaluation import Predictions, predict_examples
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

    def begin(self, task: str, snapshot: str, response: Distill) -> str:
        """Hold a task by the weights of a snapshot; returns the file of its soft labels, empty without."""
        recordable = self._trainer.model.tasks[task].recordable
        file = self._record(task, snapshot) if recordable and response.teacher == "recorded" else ""
        self.resume(task, snapshot, file, response)
        return file

    def resume(self, task: str, snapshot: str, file: str, response: Distill) -> None:
        """Hold a task by a teacher that is on disk."""
        self._trainer.objective.held[task] = Held(response, self._teacher(task, snapshot, file))

    def end(self, task: str) -> None:
        """Let a task go back to its true labels."""
        self._trainer.objective.held.pop(task, None)

    def _teacher(self, task: str, snapshot: str, file: str) -> Teacher:
        if file:
            examples = self._trainer.corpus.examples("train")[task]
            return RecordedTeacher(SoftLabels.read(self._run.path / file, task, examples))
        return OnlineTeacher(self._trainer.model, self._model_weights(snapshot), self._trainer.devices)

    def _record(self, task: str, snapshot: str) -> str:
        started = time.perf_counter()
        examples = self._trainer.corpus.examples("train")[task]
        predictions = self._predict(task, snapshot)
        seconds = time.perf_counter() - started
        step = int(snapshot.split("-")[0])
        path = self._run.soft_labels / f"{task}-{snapshot}-{self._snapshots.events}.arrow"
        if self._trainer.devices.main:
            digest = self._snapshots.checkpoints.digest(snapshot)
            SoftLabels.write(path, predictions, examples.ids, {"task": task, "step": step, "digest": digest})
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

    def _predict(self, task: str, snapshot: str) -> Predictions:
        """Predictions of a snapshot on the training rows of a task; the model is left as it was."""
        trainer = self._trainer
        now = {name: value.clone() for name, value in trainer.weights().items()}
        trainer.put_weights(self._snapshots.checkpoints.weights(snapshot))
        examples = {task: trainer.corpus.examples("train")[task]}
        predictions = predict_examples(trainer.model, examples, trainer.devices, soft=True)[task]
        trainer.put_weights(now)
        return predictions

    def _model_weights(self, snapshot: str) -> Mapping[str, Tensor]:
        weights = self._snapshots.checkpoints.weights(snapshot)
        return {name: weight for name, weight in weights.items() if name in self._trainer.model.state_dict()}
