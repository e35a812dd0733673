"""Trackio: a run of the project `motet` in its local database; look at it with `trackio show`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from motet.tracking.sink import Opening, Sink, Status

__all__ = ["Trackio"]


class Trackio(Sink):
    """Logs settings and numbers to the folder TRACKIO_DIR, or to the space or server that its own variables name.

    A resumed run goes on with the run of the same name. Steps that it does again are there twice.

    Example:
        >>> Trackio().name
        'trackio'
    """

    name = "trackio"
    package = "trackio"

    def open(self, opening: Opening) -> dict[str, str]:
        import trackio

        name = opening.known.get("run") or opening.name
        with _on_stderr():
            self._run: Any = trackio.init(
                self.project,
                name=name,
                resume="must" if opening.known else "never",
                config=dict(opening.settings),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        return {"run": self._run.name}

    def log(self, points: Mapping[str, float], step: int, moment: float) -> None:
        self._run.log(dict(points), step=step)

    def close(self, status: Status) -> None:
        with _on_stderr():
            self._run.finish()


def _on_stderr() -> contextlib.redirect_stdout[Any]:
    """Stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)
