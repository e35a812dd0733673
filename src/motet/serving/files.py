"""Files in, files out: predictions for a file of any size, which go on where they were broken off.

Answers are written in parts to a folder beside the output; when all are there they become one file. A part holds whole
queries, and each batch begins where it would have begun, so what comes out does not depend on interruptions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from motet.answering import Answering, answerable, require_tasks
from motet.data.files import content_digest
from motet.errors import RunError
from motet.runs import remove, write_atomically
from motet.serving.rows import BATCH, complete
from motet.serving.tables import Writer, read_rows, row_count, writer_for

__all__ = ["Done", "predict_file"]

_PART = 4096  # rows
_WEIGHTS = ("*.safetensors", "tasks.json", "model.onnx*", "onnx.json")
Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Done:
    """What was predicted.

    Args:
        path: of the answers.
        rows: how many there are.
        resumed: how many of them were there already.
    """

    path: Path
    rows: int
    resumed: int


def predict_file(
    model: Answering,
    file: str | Path,
    out: str | Path,
    tasks: Sequence[str] = (),
    *,
    origin: str | Path = "",
    report: Report | None = None,
) -> Done:
    """Answer the rows of a file, all tasks in one pass, in a file with one answer a row in the same order.

    Args:
        model: that answers.
        file: texts or JSON values a line (`.jsonl`, `.txt`), or a table (`.csv`, `.tsv`, `.parquet`, `.conll`).
        out: what the answers are written to: `.jsonl`, `.csv` or `.parquet`.
        tasks: those to answer; all that fit if there is none.
        origin: the folder of the model, so that parts of another model are not gone on with.
        report: called with the rows that are answered and with all there are, if that is known.

    Raises:
        RunError: a row that no task can read, with its number; an output that is there already; parts of other
            predictions in its place.

    Example:
        >>> import motet
        >>> from motet.serving.files import predict_file
        >>> predict_file(motet.load("runs/first"), "in.csv", "out.parquet").rows  # doctest: +SKIP
        1200
    """
    source, target = Path(file), Path(out)
    if not source.is_file():
        raise RunError(f"{source} cannot be read: there is no such file.")
    require_tasks(model.tasks, tasks)
    writer = writer_for(target, {name: model.tasks[name] for name in tasks or answerable(model.tasks)})
    parts = _Parts(
        target,
        {"file": content_digest(source), "tasks": list(writer.tasks), "model": _digest(Path(origin)) if origin else ""},
    )
    before = parts.open()
    lists = _remaining(model, source, tasks, before)
    count = _write_parts(lists, row_count(source), writer, parts, report or (lambda rows, total: None))
    write_atomically(target, lambda path: writer.join(parts.files(), path))
    remove(parts.folder)
    return Done(target, count, before)


def _write_parts(
    lists: Iterator[list[dict[str, Any]]], total: int | None, writer: Writer, parts: _Parts, report: Report
) -> int:
    """Write what is not there yet; returns how many rows there are."""
    report(parts.rows, total)
    for answers in _in_parts(lists):
        parts.add(writer, answers)
        report(parts.rows, total)
    return parts.rows


def _remaining(model: Answering, source: Path, tasks: Sequence[str], done: int) -> Iterator[list[dict[str, Any]]]:
    """The answers behind those that are done, in lists that may end a part.

    Batches begin where they would have begun without an interruption, for what else is in a batch changes the last
    digits of an answer.
    """
    start = done - done % BATCH
    rows = islice(read_rows(source), start, None)
    at = start
    for answers in complete(model, rows, tasks, start + 1):
        at += len(answers)
        if at > done:
            yield answers[max(0, len(answers) - (at - done)) :]


def _in_parts(lists: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    for answers in lists:
        part += answers
        if len(part) >= _PART:
            yield part
            part = []
    if part:
        yield part


class _Parts:
    """The parts of an output, each named by the rows that it holds.

    Args:
        target: the output.
        made_of: what the parts depend on.
    """

    def __init__(self, target: Path, made_of: dict[str, Any]) -> None:
        self.folder = target.with_name(f"{target.name}.parts")
        self._target = target
        self._made_of = json.dumps(made_of, indent=1, ensure_ascii=False)
        self.rows = 0

    def open(self) -> int:
        """Make the folder, or find out how many rows are there already.

        Raises:
            RunError: the output is there, or the parts belong to something else.
        """
        about = self.folder / "about.json"
        if self._target.exists():
            raise RunError(f"{self._target} is there already. Choose another file.")
        if not about.exists():
            write_atomically(about, lambda path: path.write_text(self._made_of, encoding="utf-8"))
        elif about.read_text(encoding="utf-8") != self._made_of:
            raise RunError(
                f"{self.folder} holds a part of other predictions: of another file, model or choice of tasks. "
                f"Delete it, or choose another output."
            )
        self.rows = sum(_size(file) for file in self.files())
        return self.rows

    def files(self) -> list[Path]:
        """All parts, in the order of their rows."""
        return sorted(self.folder.glob("part-*"))

    def add(self, writer: Writer, answers: Sequence[dict[str, Any]]) -> None:
        """Write one more."""
        name = f"part-{self.rows:012d}-{len(answers)}"
        write_atomically(self.folder / name, lambda path: writer.part(path, answers))
        self.rows += len(answers)


def _size(part: Path) -> int:
    return int(part.name.rpartition("-")[2])


def _digest(folder: Path) -> str:
    """A fingerprint of a model folder or an export."""
    found = hashlib.sha256()
    for file in sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern)):
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                found.update(block)
    return found.hexdigest()
