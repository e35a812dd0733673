"""What motet is measured against: the least code that trains the same encoder on the same rows.

Every tensor is collated ahead of time, no row is drawn, nothing is logged, scored or saved. A head is a linear layer
on the mean over real tokens, or on the first sub-word of every word.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from motet.data.batches import Chunk
from motet.model import MultiTaskModel
from motet.tasks.base import Task
from motet.tasks.classification import IGNORED

__all__ = ["Bare", "Batch"]

_CLIP = 1.0
_LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Answer:
    """What one task has in a batch: its rows (None for all of them), its words, and the true answers."""

    task: str
    rows: Tensor | None
    words: Tensor | None
    target: Tensor | None
    units: int


@dataclass(frozen=True)
class Batch:
    """One pass of the encoder, collated."""

    inputs: dict[str, Tensor | None]
    answers: list[Answer]


class Bare(nn.Module):
    """The loop, with a copy of the encoder of a model.

    Args:
        model: whose encoder is copied, before it has learnt anything.
        precision: `bf16` or `fp32`.
    """

    def __init__(self, model: MultiTaskModel, precision: str) -> None:
        super().__init__()
        self.trunk = copy.deepcopy(model.arrangement.trunk)
        self.tasks: dict[str, Task] = model.tasks
        width = self.trunk.width
        self.heads = {name: nn.Linear(width, task.outputs).to(model.device) for name, task in self.tasks.items()}
        self.precision = precision
        trained = [*self.trunk.parameters(), *(p for head in self.heads.values() for p in head.parameters())]
        self._trained = trained
        self._adam = torch.optim.AdamW(trained, lr=_LEARNING_RATE, fused=True)

    def batches(self, chunks: Iterable[Chunk]) -> list[Batch]:
        """Chunks of motet, collated once and for all."""
        chunks = [chunk.to(self.trunk.model.device) for chunk in chunks]
        units = _units(chunks)
        return [self._batch(chunk, units) for chunk in chunks]

    def _batch(self, chunk: Chunk, units: Mapping[str, int]) -> Batch:
        inputs = {"tokens": chunk.tokens, "mask": chunk.mask, "types": chunk.types}
        answers = []
        for name, owned in chunk.owned.items():
            rows = None if len(owned.rows) == len(chunk.tokens) else owned.rows
            target = owned.target
            if target is not None and self.tasks[name].outputs > 1:
                target = target.long()
            answers.append(Answer(name, rows, owned.words, target, units[name]))
        return Batch(inputs, answers)

    def learn(self, steps: Sequence[Sequence[Batch]]) -> None:
        """Take some steps."""
        self.trunk.train()
        for batches in steps:
            self._adam.zero_grad(set_to_none=True)
            with self._autocast():
                losses = [self._loss(answer, logits) for batch in batches for answer, logits in self._logits(batch)]
            cast(Any, torch.stack(losses).sum()).backward()
            nn.utils.clip_grad_norm_(self._trained, _CLIP)
            self._adam.step()

    def infer(self, batches: Sequence[Batch]) -> list[np.ndarray]:
        """Logits of every batch and task, brought back from the device."""
        self.trunk.eval()
        found = []
        with torch.inference_mode(), self._autocast():
            for batch in batches:
                found += [logits.float().cpu().numpy() for _, logits in self._logits(batch)]
        return found

    def _logits(self, batch: Batch) -> Iterable[tuple[Answer, Tensor]]:
        states = self.trunk(**batch.inputs).last
        weights = batch.inputs["mask"].to(states.dtype).unsqueeze(-1)
        pooled = (states * weights).sum(1) / weights.sum(1)
        for answer in batch.answers:
            features = pooled if answer.rows is None else pooled[answer.rows]
            if answer.words is not None:
                features = states[answer.words[0], answer.words[1]]
            yield answer, self.heads[answer.task](features)

    def _loss(self, answer: Answer, logits: Tensor) -> Tensor:
        assert answer.target is not None
        if self.tasks[answer.task].outputs == 1:
            return mse_loss(logits.float().squeeze(-1), answer.target, reduction="sum") / answer.units
        summed = cross_entropy(logits.float(), answer.target, ignore_index=IGNORED, reduction="sum")
        return summed / answer.units

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "bf16":
            return torch.autocast(self.trunk.model.device.type, dtype=torch.bfloat16)
        return nullcontext()


def _units(chunks: Iterable[Chunk]) -> dict[str, int]:
    units: dict[str, int] = {}
    for chunk in chunks:
        for name, owned in chunk.owned.items():
            units[name] = units.get(name, 0) + (0 if owned.target is None else owned.target.numel())
    return units
