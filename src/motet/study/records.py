"""The file that a run leaves of its test split: every row, both answers, and what the score follows from.

It is Parquet, so that anything can read it; what belongs to a task as a whole stands as JSON in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from motet.errors import RunError
from motet.runs import RunFolder, write_atomically
from motet.study.formulas import Evidence

__all__ = ["OnTest", "read_tested", "record_file", "write_tested"]

_ABOUT = b"motet"
_TEXTS = ("id", "input", "truth", "answer")
_SCHEMA = pa.schema(
    [("task", pa.string()), *((name, pa.string()) for name in _TEXTS), ("numbers", pa.list_(pa.float64()))]
)


@dataclass(frozen=True)
class OnTest:
    """One task of a run on its test split.

    Args:
        metric: the headline metric.
        higher_is_better: its direction.
        scores: value and standard error of every metric.
        digest: of the test examples; equal where they are the same in the same order, with the same true answers.
        rows_digest: of their ids alone; equal for tasks that ask about the same rows.
        evidence: of every example.
        texts: for every example, what is shown to people: its id, what was read, the true answer and the model's.
        rows: how many examples there are.
    """

    metric: str
    higher_is_better: bool
    scores: Mapping[str, Any]
    digest: str
    rows_digest: str
    evidence: Evidence
    texts: Sequence[Mapping[str, str]] = ()
    rows: int = 0

    @property
    def score(self) -> float:
        """The headline score; nan where it could not be told."""
        return self._number("value")

    @property
    def error(self) -> float:
        """Its standard error over examples."""
        return self._number("se")

    def _number(self, name: str) -> float:
        found = self.scores[self.metric][name]
        return float("nan") if found is None else float(found)


def record_file(run: RunFolder) -> Path:
    """Where a run keeps it."""
    return run.path / "test.parquet"


def write_tested(path: Path, tested: Mapping[str, OnTest]) -> None:
    """Write the file, whole or not at all."""
    about = {name: _about(of) for name, of in tested.items()}
    tables = [_table(name, of) for name, of in tested.items()]
    table = pa.concat_tables(tables).replace_schema_metadata({_ABOUT: json.dumps(about)})
    write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))


def _about(tested: OnTest) -> dict[str, Any]:
    return {
        "metric": tested.metric,
        "higher_is_better": tested.higher_is_better,
        "scores": tested.scores,
        "digest": tested.digest,
        "rows_digest": tested.rows_digest,
        "formula": tested.evidence.formula,
        "positive": tested.evidence.positive,
    }


def _table(task: str, tested: OnTest) -> pa.Table:
    count, evidence = len(tested.texts), tested.evidence
    offsets = evidence.offsets if len(evidence) == count else np.zeros(count + 1, dtype=np.int64)
    numbers = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(evidence.numbers, pa.float64()))
    texts = [[row[name] for row in tested.texts] for name in _TEXTS]
    return pa.table([[task] * count, *texts, numbers], schema=_SCHEMA)


def read_tested(path: Path, texts: bool = False) -> dict[str, OnTest]:
    """Read the file.

    Args:
        path: the file.
        texts: whether to read what is shown to people too.

    Raises:
        RunError: it cannot be read.
    """
    try:
        table = pq.read_table(path, columns=["task", "numbers", *(_TEXTS if texts else ())])
        about = json.loads(table.schema.metadata[_ABOUT])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no record of a test ({error}).") from error
    rows = table.column("task").to_numpy(zero_copy_only=False)
    return {name: _tested(table.filter(pa.array(rows == name)), of) for name, of in about.items()}


def _tested(table: pa.Table, about: Mapping[str, Any]) -> OnTest:
    numbers = table.column("numbers").combine_chunks()
    lengths = numbers.value_lengths().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    evidence = Evidence(about["formula"], numbers.flatten().to_numpy(), offsets, about["positive"])
    texts = table.drop_columns(["task", "numbers"]).to_pylist() if table.num_columns > 2 else ()
    named = {name: about[name] for name in ("metric", "higher_is_better", "scores", "digest", "rows_digest")}
    return OnTest(**named, evidence=evidence, texts=texts, rows=len(table))
