"""A comparison as files: tidy rows for other tools, plain data for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from motet.reporting.study_view import Cell, Comparison, Gain, Variant
from motet.runs import write_atomically

__all__ = ["plain", "write_results"]


def write_results(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `results.parquet` and `results.csv`: one row for every variant, seed and task."""
    table = pa.Table.from_pylist(list(_rows(comparison)))
    parquet, csv = folder / "results.parquet", folder / "results.csv"
    write_atomically(parquet, lambda file: pyarrow.parquet.write_table(table, file))
    write_atomically(csv, lambda file: pyarrow.csv.write_csv(table, file))
    return [parquet, csv]


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    runs = {(run.variant, run.task, run.seed): run for run in comparison.runs if run.part == "compared"}
    for cell in comparison.cells:
        task = next(task for task in comparison.tasks if task.name == cell.task)
        for seed, score in cell.scores.items():
            run = runs.get((cell.variant, "", seed)) or runs[cell.variant, cell.task, seed]
            yield {
                "variant": cell.variant,
                "seed": seed,
                "task": cell.task,
                "split": "test",
                "metric": task.metric,
                "higher_is_better": task.higher_is_better,
                "score": score,
                "rows": task.rows,
                "baseline": cell.variant == comparison.baseline,
                "run": run.name,
                "recipe": run.digest,
                "version": run.version,
                "commit": run.commit,
                "steps": run.steps,
                "seconds": run.seconds,
            }


def plain(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON can hold it; null where a number is not finite."""
    found = {
        "title": comparison.title,
        "baseline": comparison.baseline,
        "budget": comparison.budget,
        "seeds": comparison.seeds,
        "tasks": [asdict(task) for task in comparison.tasks],
        "variants": [_variant(variant) for variant in comparison.variants],
        "cells": [_cell(cell) for cell in comparison.cells],
        "runs": [asdict(run) for run in comparison.runs],
        "notes": comparison.notes,
    }
    cleaned: dict[str, Any] = _finite(found)
    return cleaned


def _variant(variant: Variant) -> dict[str, Any]:
    outcomes = variant.outcomes._asdict() if variant.outcomes else None
    return {**asdict(variant), "outcomes": outcomes, "gain": _gain(variant.gain)}


def _cell(cell: Cell) -> dict[str, Any]:
    scores = {str(seed): score for seed, score in cell.scores.items()}
    return {**asdict(cell), "scores": scores, "gain": _gain(cell.gain)}


def _gain(gain: Gain | None) -> dict[str, Any] | None:
    return None if gain is None else {**asdict(gain), "value": gain.value, "verdict": gain.verdict}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
