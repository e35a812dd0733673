"""What a run writes down about its steps, without waiting for the device at every one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from motet.data.batches import Chunk
from motet.errors import RunError
from motet.runs import EventLog
from motet.training.devices import Devices

__all__ = ["Journal"]

_NOT_FINITE = {
    "loss": {"code": "loss-not-finite"},
    "weight": {"code": "weight-not-finite"},
    "penalty": {"code": "penalty-not-finite"},
}


@dataclass
class _Batch:
    step: int
    losses: dict[str, Tensor]
    weights: dict[str, Tensor]
    examples: dict[str, list[int]]
    penalties: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Journal:
    """Gathers losses, rows and tokens, and writes a `step` event every so many steps.

    Args:
        log: the event log; None in all processes but the main one.
        tasks: all task names.
        every: steps between two events.
        devices: losses are summed over its processes.
        rate: the learning rate of the next step.
        name_rows: ids of some examples of a task, for the message about a loss that is not finite.
    """

    log: EventLog | None
    tasks: Sequence[str]
    every: int
    devices: Devices
    rate: Callable[[], float]
    name_rows: Callable[[str, Sequence[int]], Sequence[str]]
    seconds: float = 0.0
    tokens: int = 0
    _pending: list[_Batch] = field(default_factory=list)
    _steps: int = 0
    _rows: dict[str, int] = field(default_factory=dict)
    _tokens: list[int] = field(default_factory=lambda: [0, 0])
    _since: float = 0.0
    _kinds: dict[str, str] = field(default_factory=dict)
    _norm: Tensor = field(default_factory=lambda: torch.zeros(()))
    _conflict: dict[str, object] = field(default_factory=dict)
    _fallbacks: int = 0

    @property
    def count(self) -> int:
        """Events written so far."""
        return self.log.count if self.log is not None else 0

    @property
    def event(self) -> Callable[..., None]:
        """Writes an event, in the main process."""
        return _nothing if self.log is None else self.log.write

    def spent(self, what: Literal["tokens", "seconds"]) -> float:
        """Real tokens of all processes, or seconds of steps as they counted them on average; the same in each."""
        if self.devices.count == 1:
            return float(getattr(self, what))
        total = float(
            self.devices.sum(torch.tensor(getattr(self, what), dtype=torch.float64, device=self.devices.device))
        )
        return total if what == "tokens" else total / self.devices.count

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
            self.tokens += chunk.real
            self._tokens[0] += chunk.real
            self._tokens[1] += chunk.padded
        for task, rows in examples.items():
            self._rows[task] = self._rows.get(task, 0) + len(rows)
        self._pending.append(
            _Batch(-1, {t: loss.detach() for t, loss in losses.items()}, dict(weights or {}), examples)
        )

    def balanced(self, weights: Mapping[str, Tensor], conflict: Mapping[str, object] | None = None) -> None:
        """Note the weights of a batch when it is balanced, or of all batches of a step together at its end.

        Args:
            weights: of the tasks; batches that have weights by now keep them.
            conflict: lengths and cosines of task gradients, if they are recorded.
        """
        self._conflict = dict(conflict or self._conflict)
        for batch in self._pending:
            if batch.step < 0 and not batch.weights:
                batch.weights = {task: weights[task] for task in batch.losses if task in weights}

    def penalised(self, penalties: Mapping[str, Tensor]) -> None:
        """Note this process's part of the penalties of a step, the same ones in every step, after its batches."""
        self._pending[-1].penalties = dict(penalties)

    @contextmanager
    def counting(self, fallbacks: Callable[[], int]) -> Iterator[None]:
        """Note how often the balance falls back in a step."""
        before = fallbacks()
        yield
        self._fallbacks += fallbacks() - before

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
        batches = self._pending
        tables = {
            "loss": self.devices.sum(self._table([batch.losses for batch in batches], self.tasks)).cpu(),
            "weight": self._table([batch.weights for batch in batches], self.tasks).cpu(),
            "penalty": self._penalties(),
        }
        self._require_finite(tables)
        losses = self._means(tables["loss"], [batch.examples for batch in batches])
        weights = self._means(tables["weight"], [batch.weights for batch in batches])
        self.event(
            "step",
            step=physical,
            logical=logical,
            losses={task: losses.get(task) for task in self.tasks},
            weights=weights,
            penalties=self._mean_penalties(tables["penalty"]),
            kinds=self._kinds,
            learning_rate=self.rate(),
            gradient_norm=float(self._norm) if self._norm.isfinite() else None,
            rows=dict(self._rows),
            tokens=self._tokens[0],
            padded=self._tokens[1],
            seconds=round(self._since, 4),
            conflict=self._conflict or None,
        )
        self._tell_of_fallbacks(physical)
        self._pending, self._rows, self._tokens, self._since = [], {}, [0, 0], 0.0
        self._steps, self._conflict, self._fallbacks = 0, {}, 0

    def _tell_of_fallbacks(self, physical: int) -> None:
        if self._fallbacks:
            message = (
                f"The balance had no solution {self._fallbacks} times in the last {self._steps} steps, and did instead "
                f"what its documentation says."
            )
            self.event("warning", step=physical, code="balance-fell-back", task=None, message=message)

    def _table(self, batches: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> Tensor:
        """A row for each batch, with zeros for what is not there."""
        table = torch.full((len(batches), len(names)), 0.0, device=self.devices.device)
        for row, batch in enumerate(batches):
            for name, value in batch.items():
                table[row, names.index(name)] = value.detach()
        return table

    def _penalties(self) -> Tensor:
        """The penalties of every step, in the row of its last batch, summed over processes."""
        names = list(self._pending[-1].penalties)
        table = self._table([batch.penalties for batch in self._pending], names)
        return self.devices.sum(table).cpu() if names else table.cpu()

    def _mean_penalties(self, values: Tensor) -> dict[str, float]:
        steps = torch.tensor([bool(batch.penalties) for batch in self._pending])
        return dict(zip(self._pending[-1].penalties, values[steps].mean(dim=0).tolist(), strict=True))

    def _means(self, values: Tensor, present: Sequence[Collection[str]]) -> dict[str, float]:
        """Every task's mean over the batches that have it."""
        means = {}
        for column, task in enumerate(self.tasks):
            there = torch.tensor([task in batch for batch in present])
            if there.any():
                means[task] = float(values[there, column].mean())
        return means

    def _require_finite(self, tables: Mapping[str, Tensor]) -> None:
        """Stop at the first batch with a number that is not finite; what comes after it follows from it."""
        bad = [
            (row, column, what)
            for what, values in tables.items()
            for row, column in (~values.isfinite()).nonzero().tolist()[:1]
        ]
        if not bad:
            return
        row, column, what = min(bad, key=lambda found: found[0])
        batch = self._pending[row]
        task = None if what == "penalty" else self.tasks[column]
        name = list(batch.penalties)[column] if task is None else task
        rows = (
            "" if task is None else f" (rows {', '.join(self.name_rows(task, batch.examples.get(task, [])[:5]))}, ...)"
        )
        message = f"the {what} of `{name}` is not finite at step {batch.step}{rows}."
        self.event("warning", step=batch.step, **_NOT_FINITE[what], task=task, message=message)
        raise RunError(
            f"{message} The last checkpoint is intact. Lower training.learning_rate, or use precision fp32, "
            f"and start again; `motet resume` would meet the same batch."
        )


def _nothing(event: str, **values: Any) -> None:
    """What all processes but the main one write."""
