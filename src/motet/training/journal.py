"""What a run writes down about its steps, without waiting for the device at every one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from motet.data.batches import Chunk
from motet.errors import RunError
from motet.runs import EventLog
from motet.training.devices import Devices

__all__ = ["Journal"]


@dataclass
class _Batch:
    step: int
    losses: dict[str, Tensor]
    weights: dict[str, Tensor]
    examples: dict[str, list[int]]


@dataclass
class Journal:
    """Gathers losses, rows and tokens, and writes a `step` event every so many steps.

    Args:
        log: the event log; None in all processes but the main one.
        tasks: all task names.
        every: steps between two events.
        devices: losses are summed over its processes.
        rate: the learning rate at a logical step.
        name_rows: ids of some examples of a task, for the message about a loss that is not finite.
    """

    log: EventLog | None
    tasks: Sequence[str]
    every: int
    devices: Devices
    rate: Callable[[int], float]
    name_rows: Callable[[str, Sequence[int]], Sequence[str]]
    seconds: float = 0.0
    _pending: list[_Batch] = field(default_factory=list)
    _steps: int = 0
    _rows: dict[str, int] = field(default_factory=dict)
    _tokens: list[int] = field(default_factory=lambda: [0, 0])
    _since: float = 0.0
    _kinds: dict[str, str] = field(default_factory=dict)
    _norm: Tensor = field(default_factory=lambda: torch.zeros(()))

    @property
    def count(self) -> int:
        """Events written so far."""
        return self.log.count if self.log is not None else 0

    @property
    def event(self) -> Callable[..., None]:
        """Writes an event, in the main process."""
        return _nothing if self.log is None else self.log.write

    def close(self) -> None:
        """Close the log."""
        if self.log is not None:
            self.log.close()

    def batch(
        self, losses: Mapping[str, Tensor], chunks: Sequence[Chunk], weights: Mapping[str, Tensor] | None = None
    ) -> None:
        """Note one batch of a step, with the weights that the balance gave its losses."""
        examples: dict[str, list[int]] = {}
        for chunk in chunks:
            for task, owned in chunk.owned.items():
                examples.setdefault(task, []).extend(owned.examples.tolist())
            self._tokens[0] += chunk.real
            self._tokens[1] += chunk.padded
        for task, rows in examples.items():
            self._rows[task] = self._rows.get(task, 0) + len(rows)
        self._pending.append(
            _Batch(-1, {t: loss.detach() for t, loss in losses.items()}, dict(weights or {}), examples)
        )

    def step(self, physical: int, logical: int, norm: Tensor, seconds: float, kinds: Mapping[str, str]) -> None:
        """Note the end of a step, and what every task learnt from."""
        self._kinds, self._norm = dict(kinds), norm
        for batch in self._pending:
            batch.step = physical if batch.step < 0 else batch.step
        self._steps += 1
        self._since += seconds
        self.seconds += seconds
        if physical % self.every == 0:
            self.flush(physical, logical)

    def flush(self, physical: int, logical: int) -> None:
        """Look at all losses since the last time, and write them.

        Raises:
            RunError: a loss is not finite.
        """
        if not self._pending:
            return
        losses = self._means([batch.losses for batch in self._pending], "loss")
        weights = self._means([batch.weights for batch in self._pending], "weight")
        self.event(
            "step",
            step=physical,
            logical=logical,
            losses={task: losses.get(task) for task in self.tasks},
            weights=weights,
            kinds=self._kinds,
            learning_rate=self.rate(logical),
            gradient_norm=float(self._norm) if self._norm.isfinite() else None,
            rows=dict(self._rows),
            tokens=self._tokens[0],
            padded=self._tokens[1],
            seconds=round(self._since, 4),
        )
        self._pending, self._rows, self._tokens, self._since = [], {}, [0, 0], 0.0

    def _means(self, batches: Sequence[Mapping[str, Tensor]], what: str) -> dict[str, float]:
        """Every task's mean over the batches since the last time; losses are summed over processes, weights equal."""
        table = torch.full((len(batches), len(self.tasks)), 0.0, device=self.devices.device)
        for row, batch in enumerate(batches):
            for task, value in batch.items():
                table[row, self.tasks.index(task)] = value.detach()
        values = (self.devices.sum(table) if what == "loss" else table).cpu()
        self._require_finite(values, what)
        means = {}
        for column, task in enumerate(self.tasks):
            present = torch.tensor([self._present(task, row, batch, what) for row, batch in enumerate(batches)])
            if present.any():
                means[task] = float(values[present, column].mean())
        return means

    def _present(self, task: str, row: int, batch: Mapping[str, Tensor], what: str) -> bool:
        return task in (self._pending[row].examples if what == "loss" else batch)

    def _require_finite(self, values: Tensor, what: str) -> None:
        bad = (~values.isfinite()).nonzero()
        if not len(bad):
            return
        batch, task = self._pending[int(bad[0, 0])], self.tasks[int(bad[0, 1])]
        rows = ", ".join(self.name_rows(task, batch.examples.get(task, [])[:5]))
        message = f"the {what} of `{task}` is not finite at step {batch.step} (rows {rows}, ...)."
        warning = (
            {"code": "loss-not-finite", "message": message}
            if what == "loss"
            else {"code": "weight-not-finite", "message": message}
        )
        self.event("warning", step=batch.step, code=warning["code"], task=task, message=message)
        raise RunError(
            f"{message} The last checkpoint is intact. Lower training.learning_rate, or use precision fp32, "
            f"and start again; `motet resume` would meet the same batch."
        )


def _nothing(event: str, **values: Any) -> None:
    """What all processes but the main one write."""
