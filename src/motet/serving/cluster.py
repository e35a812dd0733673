"""The same predictions on a cluster: Ray Data reads, shares out and writes, each worker holds a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from motet.data.formats import suffix_of
from motet.errors import RunError
from motet.model import load
from motet.serving.rows import answers
from motet.serving.tables import schema_of

__all__ = ["Worker", "predict_on_ray"]

_ROWS = 1024  # of a batch
_READERS = {".jsonl": "read_json", ".ndjson": "read_json", ".csv": "read_csv", ".parquet": "read_parquet"}
_WRITERS = {".jsonl": "write_json", ".csv": "write_csv", ".parquet": "write_parquet"}


class Worker:
    """Holds a model and answers tables of rows.

    Args:
        model: its folder, as the worker sees it.
        tasks: those to answer; all that fit if there is none.
    """

    def __init__(self, model: str, tasks: Sequence[str]) -> None:
        self._model = load(model)
        self._tasks = list(tasks)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """One answer a row, in the same order."""
        able = {name: task for name, task in self._model.tasks.items() if task.answers_texts}
        chosen = {name: able[name] for name in self._tasks or able}
        return pa.Table.from_pylist(list(answers(self._model, rows.to_pylist(), self._tasks)), schema_of(chosen))


def predict_on_ray(model: Path, file: str, out: Path, tasks: Sequence[str], address: str) -> None:
    """Answer the rows of a file on a Ray cluster.

    Args:
        model: a folder that all nodes see.
        file: of rows: `.jsonl`, `.csv` or `.parquet`.
        out: a folder with one file a block of rows, in their order; its suffix tells their format.
        tasks: those to answer; all that fit if there is none.
        address: of the cluster; `auto` for the one of this machine, `local` for a new one.

    Raises:
        RunError: Ray is not installed, a format that it does not have, or tasks that rank rows against each other.
    """
    kind, form = suffix_of(Path(file)), suffix_of(out)
    if kind not in _READERS or form not in _WRITERS:
        raise RunError(f"--ray reads {' '.join(_READERS)} and writes {' '.join(_WRITERS)}, found {kind} and {form}.")
    known = load(model, tasks).tasks
    ranking = [name for name, task in known.items() if task.group]
    if ranking:
        raise RunError(f"`{ranking[0]}` ranks rows that follow each other, which --ray pulls apart: leave it out.")
    ray = _ray()
    ray.init(address=address, ignore_reinit_error=True)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    rows = getattr(ray.data, _READERS[kind])(str(Path(file).resolve()))
    answered = rows.map_batches(
        Worker,
        fn_constructor_args=(str(model.resolve()), list(tasks)),
        batch_format="pyarrow",
        batch_size=_ROWS,
        concurrency=max(1, int(ray.cluster_resources().get("CPU", 1))),
    )
    getattr(answered, _WRITERS[form])(str(out.resolve()))


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RunError("--ray needs a package that is not here. Run: pip install 'motet[ray]'") from error
    return ray
