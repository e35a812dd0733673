"""Weights & Biases: a run of the project `motet`; offline, and without a question, where nobody is logged in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any

from motet.tracking.sink import Opening, Sink, Status

__all__ = ["WandB"]


class WandB(Sink):
    """Logs settings and numbers, which have their step beside them; a resumed run goes on with the same W&B run.

    Without WANDB_MODE and without a key, it writes to `RUN/wandb` alone, and `wandb sync` sends that later. Neither
    code nor the machine nor the terminal are recorded.

    Example:
        >>> WandB().name
        'wandb'
    """

    name = "wandb"
    package = "wandb"

    def open(self, opening: Opening) -> dict[str, str]:
        import wandb

        identity = opening.known.get("run") or uuid.uuid4().hex[:12]
        quiet = wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_machine_info=True,
        )
        logged_in = "WANDB_MODE" in os.environ or wandb.login(prompt=False, verify=False)
        self._run: Any = wandb.init(
            project=self.project,
            name=opening.name,
            id=identity,
            resume="allow",
            dir=str(opening.run.path),
            config=None if opening.known else dict(opening.settings),
            mode=None if logged_in else "offline",
            settings=quiet,
        )
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        return {"run": identity}

    def log(self, points: Mapping[str, float], step: int, moment: float) -> None:
        self._run.log({**points, "step": step, "time": moment})

    def close(self, status: Status) -> None:
        self._run.finish(exit_code=0 if status == "finished" else 1)
