"""A model as an ONNX graph with everything that is needed to use it, checked against the original.

model.onnx          the pass: token ids and mask in, logits of every task out
onnx.json           tasks with their labels, names of inputs and outputs, how far the graph is from the original
tokenizer.json ...  the tokenizer
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from motet.answering import require_tasks
from motet.architectures.heads import Head, key
from motet.data.examples import Examples
from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.runs import write_atomically
from motet.serving.checking import Loss, Sample, differences, losses
from motet.serving.graph import inputs_of, quantise, refusal, write_graph
from motet.serving.onnx_model import DESCRIPTION, FORMAT, GRAPH, OnnxModel
from motet.tasks.base import Task

__all__ = ["Exported", "export_onnx", "fitting", "require_free"]

_TOLERANCE = 1e-3  # of logits in float32; more is no rounding


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: where.
        left_out: why tasks are not in it, a sentence each.
        differences: for every task the largest difference to what the original says, in float32.
        rounded: the same in int8; empty without.
        losses: for every task its score in float32 and in int8; empty without rows to score.
    """

    folder: Path
    left_out: tuple[str, ...]
    differences: Mapping[str, float]
    rounded: Mapping[str, float]
    losses: Mapping[str, Loss]


def fitting(model: MultiTaskModel, names: Sequence[str] = ()) -> tuple[dict[str, Task], tuple[str, ...]]:
    """The tasks that a graph can answer, and why the others are left out.

    Raises:
        RunError: a task that was asked for cannot be answered, or none can.
    """
    require_tasks(model.tasks, names)
    reasons = {name: refusal(task) for name, task in model.tasks.items() if not names or name in names}
    told = tuple(reason for reason in reasons.values() if reason)
    if told and (names or len(told) == len(reasons)):
        raise RunError(f"{told[0]} `motet serve` and `motet predict` run it in torch.")
    return {name: model.tasks[name] for name, reason in reasons.items() if not reason}, told


def require_free(folder: Path) -> None:
    """Refuse to write where something is.

    Raises:
        RunError: there is.
    """
    if folder.exists():
        raise RunError(f"{folder} is there already. Choose another folder.")


def export_onnx(
    model: MultiTaskModel,
    out: str | Path,
    rows: Sample,
    *,
    tasks: Sequence[str] = (),
    int8: bool = False,
    examples: Mapping[str, Examples] | None = None,
) -> Exported:
    """Write a model as one ONNX graph, with tokenizer and labels.

    The graph is held against the original on rows before anything is written.

    Args:
        model: on the CPU.
        out: a folder that is not there yet.
        rows: to check the graph on, for each task.
        tasks: those to answer; all that a graph can answer if there is none.
        int8: whether weights are rounded to eight bits.
        examples: to score the rounded graph on, with their true answers.

    Raises:
        RunError: the folder is there, a task or the architecture cannot be written as a graph, or the graph says
            something else than the original.

    Returns:
        What was written and how far it is from the original.

    Example:
        >>> from motet.serving.exporting import export_onnx
        >>> export_onnx(motet.load("runs/first"), "exports/first", rows).differences  # doctest: +SKIP
    """
    chosen, left_out = fitting(model, tasks)
    folder = Path(out)
    require_free(folder)
    found: list[Exported] = []

    def fill(path: Path) -> None:
        path.mkdir(parents=True)
        checked = _fill(path, model, chosen, {name: rows[name] for name in chosen})
        rounded: dict[str, float] = {}
        lost: dict[str, Loss] = {}
        if int8:
            rounded, lost = _round(path, model, {name: rows[name] for name in chosen}, examples or {})
        report = {"differences": checked, "int8": int8, "rounded": rounded}
        _describe(path, model, chosen, {**report, "losses": {name: asdict(loss) for name, loss in lost.items()}})
        found.append(Exported(folder, left_out, checked, rounded, lost))

    write_atomically(folder, fill)
    return found[0]


def _fill(path: Path, model: MultiTaskModel, tasks: Mapping[str, Task], rows: Sample) -> dict[str, float]:
    """Write the graph and what belongs to it, and hold it against the original."""
    write_graph(model, tasks, _names(tasks), path / GRAPH)
    model.tokenizer.save_pretrained(path)
    _describe(path, model, tasks, {})
    found = differences(model, OnnxModel.from_pretrained(path), rows)
    worst = max(found, key=lambda name: found[name])
    if not found[worst] <= _TOLERANCE:
        raise RunError(
            f"the graph differs from the original by {found[worst]:.2g} for `{worst}`, which is more than rounding: "
            f"nothing was written. `motet serve` and `motet predict` run the model in torch."
        )
    return found


def _round(
    path: Path, model: MultiTaskModel, rows: Sample, examples: Mapping[str, Examples]
) -> tuple[dict[str, float], dict[str, Loss]]:
    """Put a graph with weights of eight bits in place of the one there is."""
    exact = OnnxModel.from_pretrained(path)
    quantise(path / GRAPH)
    rounded = OnnxModel.from_pretrained(path)
    known = {name: of_task for name, of_task in examples.items() if name in rows}
    return differences(model, rounded, rows), losses(exact, rounded, known) if known else {}


def _describe(path: Path, model: MultiTaskModel, tasks: Mapping[str, Task], report: Mapping[str, Any]) -> None:
    described = model.describe()
    learnt = {name: rows for name in tasks if (rows := _learnt(model, name)) is not None}
    text = json.dumps(
        {
            "format": FORMAT,
            "encoder": described["encoder"],
            "inputs": inputs_of(model),
            "outputs": _names(tasks),
            "learnt": learnt,
            "tasks": {name: described["tasks"][name] for name in tasks},
            **report,
        },
        indent=1,
        ensure_ascii=False,
    )
    (path / DESCRIPTION).write_text(text, encoding="utf-8")


def _names(tasks: Mapping[str, Task]) -> dict[str, str]:
    """How the outputs of a graph are called: as the tasks, where no input is called so."""
    taken = {"input_ids", "attention_mask", "token_type_ids"}
    return {name: f"{name}_" if name in taken else name for name in tasks}


def _learnt(model: MultiTaskModel, name: str) -> list[list[float]] | None:
    heads = model.arrangement.heads
    rows = next((head.learnt for at, head in heads.items() if at == key(name) and isinstance(head, Head)), None)
    return None if rows is None else rows.detach().float().tolist()
