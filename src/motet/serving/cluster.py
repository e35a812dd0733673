"""The same predictions on a cluster: Ray Data reads and shares out rows, each worker holds a model."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from motet.answering import answerable, require_tasks
from motet.clusters import joined
from motet.data.formats import suffix_of
from motet.errors import RunError
from motet.model import load, made
from motet.serving.rows import answers
from motet.serving.tables import Writer, schema_of, writer_for

__all__ = ["Worker", "predict_on_ray"]

_ROWS = 1024  # of a batch
_READERS = {".jsonl": "read_json", ".ndjson": "read_json", ".csv": "read_csv", ".parquet": "read_parquet"}
_CAUSE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Invalid): (.+)$", re.MULTILINE)
_WRITTEN = (".jsonl", ".ndjson", ".csv", ".parquet")


class Worker:
    """Holds a model and answers tables of rows.

    Args:
        model: its folder, as the worker sees it.
        tasks: those to answer; all that fit if there is none.
    """

    def __init__(self, model: str, tasks: Sequence[str]) -> None:
        self._model = load(model, tasks)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """One answer a row, in the same order."""
        able = answerable(self._model.tasks)
        try:
            found = list(answers(self._model, rows.to_pylist(), list(able)))
        except RunError as error:
            raise RunError(f"in a block of {rows.num_rows} rows, {error}") from None
        return pa.Table.from_pylist(found, schema_of(able))


def predict_on_ray(model: Path, file: str, out: Path, tasks: Sequence[str], address: str) -> None:
    """Answer the rows of a file on a Ray cluster.

    Args:
        model: a folder that all nodes see.
        file: of rows: `.jsonl`, `.csv` or `.parquet`.
        out: a folder with one file a block of rows, in their order; its suffix tells their format.
        tasks: those to answer; all that fit if there is none.
        address: of the cluster; `auto` for the one of this machine, `local` for a new one.

    Raises:
        RunError: Ray is not installed, or no cluster is there; a format that it does not have, or an output that is
            there already; tasks that rank rows against each other, or rows that no task reads.
    """
    kind, form = suffix_of(Path(file)), suffix_of(out)
    if kind not in _READERS or form not in _WRITTEN:
        raise RunError(f"--ray reads {' '.join(_READERS)} and writes {' '.join(_WRITTEN)}, found {kind} and {form}.")
    known = made(model).tasks
    require_tasks(known, tasks)
    chosen = answerable({name: known[name] for name in tasks or known})
    ranking = [name for name, task in chosen.items() if task.group]
    if ranking:
        raise RunError(f"`{ranking[0]}` ranks rows that follow each other, which --ray pulls apart: leave it out.")
    if not Path(file).is_file():
        raise RunError(f"{file} cannot be read: there is no such file.")
    if out.exists():
        raise RunError(f"{out} is there already. Choose another folder.")
    with _joined(address) as ray:
        try:
            rows = getattr(ray.data, _READERS[kind])(str(Path(file).resolve()))
            _answered(ray, rows, model, list(chosen)).write_datasink(_sink(out.resolve(), writer_for(out, chosen)))
        except (ray.exceptions.RayError, pa.ArrowException) as error:
            raise RunError(f"{file} could not be answered: {_said(error)}") from error
        finally:
            if out.is_dir() and not any(out.iterdir()):
                out.rmdir()


def _answered(ray: Any, rows: Any, model: Path, tasks: Sequence[str]) -> Any:
    """The answers, once they are asked for.

    One core is left for those who read and write, since a worker keeps its own to the end; where there is no second
    one, the worker holds none.
    """
    cores = int(ray.cluster_resources().get("CPU", 1))
    return rows.map_batches(
        Worker,
        fn_constructor_args=(str(model.resolve()), list(tasks)),
        batch_format="pyarrow",
        batch_size=_ROWS,
        num_cpus=1 if cores > 1 else 0,
        compute=ray.data.ActorPoolStrategy(size=max(1, cores - 1)),
    )


def _sink(folder: Path, writer: Writer) -> Any:
    """Writes each block to a file of its own, as it would be written without Ray."""
    from ray.data.datasource import BlockBasedFileDatasink

    class Sink(BlockBasedFileDatasink):
        def write_block_to_file(self, block: Any, file: Any) -> None:
            found = [
                {task: answer for task, answer in row.items() if answer is not None}
                for row in block.to_arrow().to_pylist()
            ]
            with TemporaryDirectory() as place:
                part, whole = Path(place, "part"), Path(place, "whole")
                writer.part(part, found)
                writer.join([part], whole)
                file.write(whole.read_bytes())

    return Sink(str(folder), file_format=folder.suffix[1:])


@contextmanager
def _joined(address: str) -> Iterator[Any]:
    """Ray with its tables, as long as they are needed."""
    with joined(address) as ray:
        import ray.data

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is told by us
        yield ray


def _said(error: BaseException) -> str:
    """What went wrong at first, in a line: Ray hands over what a worker printed, the first cause at the top."""
    text = str(error).strip()
    first = _CAUSE.search(text)
    return first[1] if first else text.splitlines()[-1] if text else type(error).__name__
