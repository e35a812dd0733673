"""The pass of a model as a graph: padded rows go in, logits of every task come out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from motet.architectures.base import Arrangement
from motet.data.batches import Chunk, Owned
from motet.encoders.silence import silently
from motet.errors import RunError
from motet.model import MultiTaskModel
from motet.registry import part_name
from motet.tasks.base import Task

__all__ = ["Graph", "inputs_of", "quantise", "refusal", "write_graph"]

_LARGEST = 1 << 30  # bytes of a graph in one file, well below the two gibibytes that its format allows
_ROWS, _LENGTH = 3, 7  # of the rows that are passed while the graph is drawn; any others will do


class Graph(nn.Module):
    """What an arrangement computes for rows that belong to all tasks.

    Args:
        arrangement: whose pass it is.
        tasks: that answer, by name: texts or words.
    """

    def __init__(self, arrangement: Arrangement, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.arrangement = arrangement
        self.words = {name: task.level == "word" for name, task in tasks.items()}

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Any:
        """For every task ``[rows, outputs]``, or ``[rows, length, outputs]`` where words are answered."""
        count, length = input_ids.shape
        rows = torch.arange(count, device=input_ids.device)
        column = torch.arange(length, device=input_ids.device)
        places = torch.stack([part.expand(count, length).reshape(-1) for part in (rows[:, None], column[None])])
        owned = {
            name: Owned(rows, places if words else None, np.zeros(0), np.zeros(0)) for name, words in self.words.items()
        }
        logits = self.arrangement(_Whole(input_ids, attention_mask, token_type_ids, owned, 0))
        return tuple(
            logits[name][: count * length].reshape(count, length, -1) if words else logits[name]
            for name, words in self.words.items()
        )


class _Whole(Chunk):
    """A chunk whose rows belong to all tasks, so that a part of it has the same rows."""

    def part(self, *tasks: str) -> Chunk:
        return replace(self, owned={task: self.owned[task] for task in tasks})


def refusal(task: Task) -> str:
    """Why a task is not in a graph, as a sentence; empty if it is."""
    if task.level == "sequence":
        return f"`{task.name}` writes its answers sub-word by sub-word, which is no single pass."
    return "" if task.answers_texts else f"`{task.name}` has no answer to a text: it learns words alone."


def inputs_of(model: MultiTaskModel) -> tuple[str, ...]:
    """What the graph of a model takes."""
    pairs = any(len(task.inputs.columns) > 1 for task in model.tasks.values())
    typed = "token_type_ids" in model.tokenizer.model_input_names and model.arrangement.trunk.family == "encoder"
    return ("input_ids", "attention_mask", *(("token_type_ids",) if pairs and typed else ()))


def write_graph(model: MultiTaskModel, tasks: Mapping[str, Task], outputs: Mapping[str, str], path: Path) -> None:
    """Write the graph of a model as ONNX; rows and their length may be any.

    Args:
        model: whose pass it is; on the CPU.
        tasks: that answer, by name.
        outputs: how what they say is called in the graph.
        path: of the file.

    Raises:
        RunError: the pass cannot be written as one graph.
    """
    inputs = inputs_of(model)
    ones, zeros = (torch.full((_ROWS, _LENGTH), value) for value in (1, 0))
    given = (ones, ones.clone(), zeros)[: len(inputs)]
    dynamic = {name: {0: torch.export.Dim("rows"), 1: torch.export.Dim("length")} for name in inputs}
    graph = Graph(model.arrangement, tasks).eval()
    try:
        with _quietly(), torch.no_grad():
            program = torch.onnx.export(
                graph,
                given,
                dynamo=True,
                input_names=inputs,
                output_names=list(outputs.values()),
                dynamic_shapes=dynamic,
                verbose=False,
            )
    except Exception as error:  # whatever keeps a graph from being drawn; torch has no one class for it
        raise _no_graph(model, f"{type(error).__name__}: {_first_line(error)}") from error
    if program is None or _fixed(program):
        raise _no_graph(model, "it would hold for one number of rows alone")
    program.save(str(path))


def quantise(path: Path) -> None:
    """Put a graph with weights of eight bits, each tensor with a scale of its own, in place of a graph.

    What goes through it is rounded anew for every batch.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(path)
    del graph.graph.value_info[:]  # shapes between the nodes, some of which rounding turns over
    plain, small = path.with_name("plain.onnx"), path.with_name("int8.onnx")
    large = graph.ByteSize() > _LARGEST
    onnx.save(graph, plain, save_as_external_data=large, location=f"{plain.name}.data" if large else None)
    with _quietly(), _silent(logging.getLogger()):
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8, use_external_data_format=large)
    for file in (plain, plain.with_name(f"{plain.name}.data"), path.with_name(f"{path.name}.data")):
        file.unlink(missing_ok=True)
    small.replace(path)


def _fixed(program: Any) -> bool:
    """Whether the graph takes only so many rows, or only rows of one length."""
    return any(isinstance(size, int) for given in program.model.graph.inputs for size in given.shape)


def _no_graph(model: MultiTaskModel, reason: str) -> RunError:
    kind, trunk = part_name(model.architecture), type(model.arrangement.trunk.model).__name__
    return RunError(
        f"the architecture `{kind}` around a {trunk} cannot be written as one ONNX graph ({reason}). "
        f"`motet serve` and `motet predict` run it in torch."
    )


def _first_line(error: Exception) -> str:
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0][:160] if lines else "no reason given"


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says about itself."""
    with _silent(logging.getLogger("torch.onnx")), silently(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
