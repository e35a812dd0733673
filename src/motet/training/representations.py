"""What the trunk makes of the rows of a batch, a vector a row, for regularisers that compare representations."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from motet.architectures.heads import pool
from motet.balancing.regularisers.base import Features
from motet.data.batches import Chunk
from motet.encoders.trunk import States
from motet.errors import Problem, RecipeError
from motet.model import MultiTaskModel
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.ordinal import Ordinal

__all__ = ["Representations", "has_classes"]


class Representations:
    """The means of the last states of rows, taken from the trunk while a model reads the chunks of a batch.

    Rows that a decoder reads only together with their answers have none.

    Args:
        model: listened to.
    """

    def __init__(self, model: MultiTaskModel) -> None:
        self._model = model
        self._pieces: dict[str, list[Features]] = {}

    @property
    def features(self) -> dict[str, Features]:
        """What every task with rows has in the batch."""
        return {task: _joined(pieces) for task, pieces in self._pieces.items()}

    def begin(self) -> None:
        """Forget the batch before."""
        self._pieces = {}

    @contextmanager
    def reading(self, chunk: Chunk, held: Collection[str]) -> Iterator[None]:
        """Listen while the model reads a chunk.

        Args:
            chunk: as it is handed to the model.
            held: tasks that do not learn from true labels.

        Raises:
            RecipeError: the architecture did not read the chunk as a whole.
        """
        seen: list[Tensor] = []

        def listen(trunk: Any, given: tuple[Any, ...], states: States) -> None:
            if given[0] is chunk.tokens and not seen:
                seen.append(pool(states.last.float(), chunk.mask, "mean"))

        listening = self._model.arrangement.trunk.register_forward_hook(listen)
        try:
            yield
        finally:
            listening.remove()
        if seen:
            self._take(seen[0], chunk, held)
        elif any(self._model.tasks[task].level != "sequence" for task in chunk.owned):
            rule = "compare what the trunk makes of a batch, and this architecture does not read one as a whole"
            raise RecipeError(Problem("regularisers", rule))

    def _take(self, states: Tensor, chunk: Chunk, held: Collection[str]) -> None:
        for task, owned in chunk.owned.items():
            taught = task not in held and has_classes(self._model.tasks[task])
            labels = owned.target.long() if taught and owned.target is not None else None
            self._pieces.setdefault(task, []).append(Features(states[owned.rows], labels))


def has_classes(task: Task) -> bool:
    """Whether a task gives every text one class."""
    return isinstance(task, (Classification, Ordinal))


def _joined(pieces: list[Features]) -> Features:
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    return Features(torch.cat([piece.states for piece in pieces]), torch.cat(labels) if labels else None)
