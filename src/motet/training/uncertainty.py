"""How sure a model is of rows, for a sampler that prefers those it is not sure of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motet.data.batches import reading_chunks
from motet.data.examples import Examples
from motet.model import MultiTaskModel
from motet.training.devices import Devices

__all__ = ["ModelEntropies"]


@dataclass(frozen=True)
class ModelEntropies:
    """Entropies of predictions over classes, in nats; of several words, their mean.

    The model is asked in evaluation mode, without gradient, and put back; no generator is touched.

    Args:
        model: asked.
        devices: of this process.
    """

    model: MultiTaskModel
    devices: Devices

    def __call__(self, owners: Mapping[str, Examples], rows: np.ndarray) -> dict[str, np.ndarray]:
        """For each task, of its predictions for some rows of its token table; nan for a row that it does not label."""
        training = self.model.training
        self.model.eval()
        pieces: dict[str, dict[int, float]] = {name: {} for name in owners}
        with self.devices.autocast(), torch.no_grad():
            for name, row, entropy in self._read(owners, self.devices.share(np.unique(rows))):
                pieces[name][row] = entropy
        self.model.train(training)
        found = self.devices.gather(pieces)
        return {name: np.asarray([of.get(int(row), np.nan) for row in rows]) for name, of in found.items()}

    def _read(self, owners: Mapping[str, Examples], rows: np.ndarray) -> Iterator[tuple[str, int, float]]:
        tokens, tasks = next(iter(owners.values())).tokens, {name: self.model.tasks[name] for name in owners}
        for chunk, here in reading_chunks(tokens, rows, tasks, self.model.padding(), owners):
            for name, logits in self.model(chunk.to(self.devices.device)).items():
                owned = chunk.owned[name]
                units = _entropies(logits[: int(owned.lengths.sum())]).cpu().numpy()
                for row, of_row in zip(owned.rows, np.split(units, np.cumsum(owned.lengths)[:-1]), strict=True):
                    yield name, int(here[int(row)]), float(of_row.mean()) if len(of_row) else 0.0


def _entropies(logits: Tensor) -> Tensor:
    logarithms = logits.double().log_softmax(dim=-1)
    return -(logarithms.exp() * logarithms).sum(dim=-1)
