"""The snapshots of a trainer: saved at every check, gone back to at a rewind."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from motet.training.checkpoints import Checkpoints
from motet.training.trainer import Trainer

__all__ = ["Snapshots"]


class Snapshots:
    """Saves, restores and commits.

    Snapshots are named by physical step and number of convergence events, so no rewind ever reuses a name.

    Args:
        trainer: whose state they hold.
        checkpoints: where they are.
    """

    def __init__(self, trainer: Trainer, checkpoints: Checkpoints) -> None:
        self._trainer = trainer
        self.checkpoints = checkpoints
        self.events = 0
        self.current = ""

    def save(self, scores: Mapping[str, Any] | None = None) -> None:
        """Write a snapshot of this moment; it becomes the current one."""
        trainer = self._trainer
        self.current = f"{trainer.clock.physical:08d}-{self.events}"
        started = time.perf_counter()
        if trainer.devices.main:
            progress = {**trainer.progress(), "scores": scores}
            written = self.checkpoints.save(self.current, trainer.weights(), trainer.optimiser.tensors(), progress)
            seconds, step = round(time.perf_counter() - started, 3), trainer.clock.physical
            trainer.journal.event("checkpoint", step=step, snapshot=self.current, bytes=written, seconds=seconds)
        trainer.devices.barrier()

    def rewind(self, name: str, kind: str) -> None:
        """Go back to a snapshot: with all of its state (`full`), or with its weights and fresh moments (`weights`)."""
        progress = self.checkpoints.progress(name)
        moments = self.checkpoints.moments(name) if kind == "full" else None
        self._trainer.rewind(self.checkpoints.weights(name), moments, progress)
        if kind == "full":
            self.current = name
        else:
            self.save(progress["scores"])

    def scores(self, name: str) -> dict[str, Any]:
        """The validation scores of a snapshot, as plain data."""
        scores: dict[str, Any] = self.checkpoints.progress(name)["scores"]
        return scores

    def names(self) -> set[str]:
        """The snapshots that exist."""
        return self.checkpoints.names()

    def commit(self, state: Mapping[str, Any], full: Collection[str], weights: Collection[str]) -> None:
        """Make everything since the last commit take effect; then clear away the snapshots not named.

        Args:
            state: of the monitor.
            full: snapshots to keep whole.
            weights: snapshots of which the weights are kept.
        """
        trainer = self._trainer
        if trainer.devices.main:
            clock = {"physical": trainer.clock.physical, "rewound": trainer.clock.rewound}
            run = {"snapshot": self.current, "events": self.events, **clock}
            log = {
                "logged": trainer.journal.count,
                "seconds": trainer.journal.seconds,
                "tokens": trainer.journal.tokens,
            }
            self.checkpoints.commit({**run, **log, **state})
            self.checkpoints.keep(full, weights)
        trainer.devices.barrier()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a committed state in a new process."""
        self.current, self.events = state["snapshot"], state["events"]
        loaded = self.checkpoints.weights(self.current), self.checkpoints.moments(self.current)
        self._trainer.rewind(*loaded, self.checkpoints.progress(self.current))
        self._trainer.clock.physical, self._trainer.clock.rewound = state["physical"], state["rewound"]
        self._trainer.journal.seconds, self._trainer.journal.tokens = state["seconds"], state["tokens"]
