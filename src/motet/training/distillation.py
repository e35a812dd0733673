"""Soft labels: the predictions of a task's best weights on its training set, and the loss against them."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from motet.data.batches import Chunk
from motet.data.cells import Cells
from motet.data.encoding import Ragged
from motet.data.examples import Examples
from motet.data.mapping import mapped
from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.runs import write_atomically
from motet.tasks.base import Task
from motet.training.devices import Devices
from motet.training.evaluation import Predictions

__all__ = [
    "Annealing",
    "OnlineTeacher",
    "RecordedTeacher",
    "SoftLabels",
    "Teacher",
    "WrittenTeacher",
    "copied",
]


@dataclass(frozen=True)
class SoftLabels:
    """Recorded logits of all training examples of one task, read memory-mapped.

    The file is Arrow IPC with the columns `id` and `logits` (all units of the example, one after the other), in the
    order of the training examples. Its metadata name the task, the teacher's weights and the number of outputs.

    Args:
        path: the file.
        outputs: logits a unit.
        logits: by example.
    """

    path: Path
    outputs: int
    logits: Ragged

    @classmethod
    def write(cls, path: Path, predictions: Predictions, ids: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Write the file, atomically."""
        cls.record(path, [(ids, predictions)], metadata)

    @classmethod
    def record(
        cls, path: Path, parts: Iterable[tuple[Sequence[str], Predictions]], metadata: Mapping[str, Any]
    ) -> None:
        """Write the file, atomically, part by part.

        Args:
            path: of the file.
            parts: the ids of some examples and what is predicted for them; at least one part.
            metadata: of the whole file.
        """

        def write(file: Path) -> None:
            with ExitStack() as stack:
                sink = stack.enter_context(pa.OSFile(str(file), "wb"))
                writer = None
                for ids, predictions in parts:
                    table = _table(ids, predictions, metadata)
                    if writer is None:
                        writer = stack.enter_context(pa.ipc.new_file(sink, table.schema))
                    writer.write_table(table, max_chunksize=1 << 16)

        write_atomically(path, write)

    @classmethod
    def read(cls, path: Path, task: str, examples: Examples) -> SoftLabels:
        """Open the file and check that it covers exactly the examples of the task.

        Raises:
            RunError: missing, damaged, another task's, or not of these training rows.
        """
        try:
            table = pa.ipc.open_file(mapped(path)).read_all()
            described = json.loads(table.schema.metadata[b"motet"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} cannot be read as soft labels ({error}).") from error
        if described["task"] != task:
            raise RunError(f"{path} holds soft labels of `{described['task']}`, not of `{task}`.")
        _require_coverage(path, table.column("id"), examples.ids)
        return cls(path, int(described["outputs"]), Ragged(table.column("logits")))

    def of(self, examples: np.ndarray) -> Tensor:
        """The logits ``[units, outputs]`` of some examples, one after the other."""
        flat = np.concatenate([self.logits[int(example)] for example in examples])
        return torch.from_numpy(flat.reshape(-1, self.outputs))


def _table(ids: Sequence[str], predictions: Predictions, metadata: Mapping[str, Any]) -> pa.Table:
    outputs = predictions.values.shape[1]
    offsets = np.concatenate([[0], np.cumsum(predictions.lengths * outputs)])
    values = pa.array(predictions.values.astype(np.float32).reshape(-1))
    logits = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
    described = {"motet": json.dumps({**metadata, "outputs": outputs})}
    schema = pa.schema([("id", pa.string()), ("logits", pa.large_list(pa.float32()))], metadata=described)
    return pa.Table.from_arrays([pa.array(list(ids), pa.string()), logits], schema=schema)


def _require_coverage(path: Path, column: pa.ChunkedArray, wanted: Sequence[str]) -> None:
    recorded = Cells(column)
    if recorded == wanted:
        return
    missing, strange = sorted(set(wanted) - set(recorded)), sorted(set(recorded) - set(wanted))
    detail = f"{len(missing)} rows have none, {len(strange)} are of no row"
    first = next(iter(missing + strange), None)
    raise RunError(
        f"{path} does not cover the training rows: {detail if first else 'their order differs'}"
        + (f" (`{first}` is the first)." if first else ".")
        + " The data set has changed since they were recorded."
    )


@dataclass(frozen=True)
class Annealing:
    """How much of what a task learns from is the truth: nothing when its teacher begins, all of it at the end.

    Args:
        now: tells the logical step.
        start: that at which the teacher begins.
        end: the one at which nothing is left of the teacher.

    Example:
        >>> [Annealing(now=lambda: step, start=100, end=300).truth for step in (50, 100, 150, 300)]
        [0.0, 0.0, 0.25, 1.0]
    """

    now: Callable[[], int]
    start: int
    end: int

    @property
    def truth(self) -> float:
        """The share, 0 to 1; 0 also where a rewind led behind the switch."""
        return min(1.0, max(0.0, (self.now() - self.start) / max(1, self.end - self.start)))


class Teacher(ABC):
    """Gives what a held task is distilled from."""

    @abstractmethod
    def logits(self, chunk: Chunk, task: str) -> Tensor | None:
        """What `Task.soft` leaves of the logits of the rows that the task owns in a chunk; None if it gives labels."""

    def rewrite(self, chunk: Chunk, task: str) -> Chunk:
        """The chunk with labels of the teacher in place of the true ones, if it gives any."""
        return chunk


class RecordedTeacher(Teacher):
    """Looks them up in soft labels.

    Args:
        labels: those of the task.
    """

    def __init__(self, labels: SoftLabels) -> None:
        self._labels = labels

    def logits(self, chunk: Chunk, task: str) -> Tensor:
        owned = chunk.owned[task]
        return self._labels.of(owned.examples).to(chunk.tokens.device)


class OnlineTeacher(Teacher):
    """Predicts every batch anew with models that never train, and takes the mean of what they say.

    Args:
        models: at rest, such as those of `copied`.
        tasks: of them all.
        devices: for the precision.
    """

    def __init__(self, models: Iterable[nn.Module], tasks: Mapping[str, Task], devices: Devices) -> None:
        self._models = list(models)
        self._tasks = tasks
        self._devices = devices

    def logits(self, chunk: Chunk, task: str) -> Tensor:
        with torch.no_grad(), self._devices.autocast():
            part, lengths = chunk.part(task), chunk.owned[task].lengths
            said = [self._tasks[task].soft(model(part)[task], lengths) for model in self._models]
            return said[0] if len(said) == 1 else torch.stack(said).mean(dim=0)


def copied(model: MultiTaskModel, weights: Mapping[str, Tensor]) -> nn.Module:
    """A copy of what answers in a model, at rest, with other weights."""
    copied = copy.deepcopy(model.arrangement)
    copied.load_state_dict({name.removeprefix("arrangement."): weight for name, weight in weights.items()})
    return copied.requires_grad_(False).eval()


class WrittenTeacher(Teacher):
    """Puts the texts that the best weights have written in place of the true ones.

    Args:
        labels: the sub-words of these texts, one a unit.
    """

    def __init__(self, labels: SoftLabels) -> None:
        self._labels = labels

    def logits(self, chunk: Chunk, task: str) -> Tensor | None:
        return None

    def rewrite(self, chunk: Chunk, task: str) -> Chunk:
        owned = chunk.owned[task]
        words = self._labels.of(owned.examples)
        lengths = np.asarray([len(self._labels.logits[int(example)]) for example in owned.examples])
        return replace(chunk, owned={**chunk.owned, task: replace(owned, target=words[:, 0], lengths=lengths)})
