"""MLflow: a run of the experiment `motet`, where MLFLOW_TRACKING_URI says or where MLflow keeps runs by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from motet.tracking.sink import Opening, Sink, Status

__all__ = ["MLflow"]

STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
# What MLflow takes at a time, and how long a setting may be.
PARAMETERS, METRICS, LENGTH = 100, 1000, 500


class MLflow(Sink):
    """Logs settings as parameters and numbers as metrics; a resumed run goes on with the same MLflow run.

    Characters that MLflow does not take in names become `_`. Steps that a resumed run does again are there twice.

    Example:
        >>> MLflow("my experiment").project
        'my experiment'
    """

    name = "mlflow"
    package = "mlflow"

    def open(self, opening: Opening) -> dict[str, str]:
        from mlflow import MlflowClient

        self._client: Any = MlflowClient()
        if opening.known:
            self._run = opening.known["run"]
            self._client.update_run(self._run, "RUNNING")
            return dict(opening.known)
        found = self._client.get_experiment_by_name(self.project)
        experiment = found.experiment_id if found else self._client.create_experiment(self.project)
        self._run = self._client.create_run(experiment, run_name=opening.name).info.run_id
        self._keep_settings(opening.settings)
        return {"run": self._run}

    def _keep_settings(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        rest = iter(settings.items())
        while chunk := list(islice(rest, PARAMETERS)):
            params = [Param(_name(key), str(value)[:LENGTH]) for key, value in chunk]
            self._client.log_batch(self._run, params=params)

    def log(self, points: Mapping[str, float], step: int, moment: float) -> None:
        from mlflow.entities import Metric

        rest = iter(points.items())
        while chunk := list(islice(rest, METRICS)):
            metrics = [Metric(_name(name), value, round(1000 * moment), step) for name, value in chunk]
            self._client.log_batch(self._run, metrics=metrics)

    def close(self, status: Status) -> None:
        self._client.set_terminated(self._run, STATUS[status])


def _name(name: str) -> str:
    return re.sub(r"[^/\w.\- :]", "_", name)
