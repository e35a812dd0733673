"""Whether two models say the same: on real rows, and by their scores."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motet.answering import Answering
from motet.data.corpus import load_corpus
from motet.data.encoding import TokenRows
from motet.data.examples import Examples
from motet.errors import RunError
from motet.tasks.base import Scores, Task
from motet.training.devices import Devices
from motet.training.evaluation import evaluate
from motet.training.experiment import Experiment

__all__ = ["Loss", "Sample", "differences", "documentation", "examples_of", "losses", "sample"]

Sample = dict[str, tuple[TokenRows, np.ndarray]]

_ROWS = 64
_MODULES = (
    *("argparse", "bisect", "calendar", "collections", "csv", "decimal", "difflib", "email", "enum", "fractions"),
    *("functools", "glob", "gzip", "heapq", "inspect", "json", "locale", "logging", "random", "shelve", "socket"),
    *("statistics", "tarfile", "textwrap", "threading", "tokenize", "traceback", "turtle", "unittest", "zipfile"),
)


@dataclass(frozen=True)
class Loss:
    """The headline score of a task before and after something.

    Args:
        metric: its name.
        before: its value.
        after: the same.
        se: standard error of the value before; None where it is not known.
        better: whether more is better.
    """

    metric: str
    before: float
    after: float
    se: float | None
    better: bool

    @property
    def lost(self) -> float:
        """How much worse it became; below 0 where it became better."""
        return self.before - self.after if self.better else self.after - self.before


def examples_of(
    experiment: Experiment, model: Answering, split: str, folder: Path | None = None
) -> dict[str, Examples]:
    """The rows of a split for every task that a model answers.

    Args:
        experiment: that the model came of.
        model: whose tokenizer reads them.
        split: of the sources.
        folder: where relative paths of sources are looked up.

    Raises:
        RunError: no task has that split.
        DataError: the rows cannot be read.
    """
    corpus = load_corpus(experiment.tasks, model.tokenizer, model.max_length, folder, splits=(split,))
    found = {name: examples for name, examples in corpus.examples(split).items() if name in model.tasks}
    if not found:
        raise RunError(f"no task of this model has rows in the split `{split}`.")
    return found


def sample(examples: Mapping[str, Examples], count: int = _ROWS) -> Sample:
    """The first rows of each task."""
    return {name: (of_task.tokens, of_task.rows[:count]) for name, of_task in examples.items()}


def documentation(model: Answering, tasks: Mapping[str, Task]) -> Sample:
    """Documentation strings of this Python as rows for tasks, where nothing nearer to them is at hand."""
    texts = [paragraph for module in _MODULES for paragraph in _paragraphs(module)][:_ROWS]
    found: Sample = {}
    for name, task in tasks.items():
        later = [texts[at:] + texts[:at] for at in range(len(task.inputs.columns))]
        rows: list[Any] = list(zip(*later, strict=True)) if len(later) > 1 else texts
        tokens = model.tokenise(rows, task.inputs)
        found[name] = (tokens, np.arange(min(_ROWS, len(tokens.lengths))))
    return found


def _paragraphs(module: str) -> list[str]:
    text = importlib.import_module(module).__doc__ or ""
    return [" ".join(part.split()) for part in text.split("\n\n") if len(part.split()) > 2]


def differences(one: Answering, other: Answering, rows: Sample) -> dict[str, float]:
    """For every task the largest difference between what two models say to some rows, before it is decoded."""
    found = {}
    for name, (tokens, here) in rows.items():
        pieces = []
        for model in (one, other):
            with model.resting():
                pieces.append(np.concatenate([r[name].values for r in model.read(tokens, here, [name], soft=True)]))
        found[name] = float(np.max(np.abs(pieces[0] - pieces[1]), initial=0.0))
    return found


def losses(before: Answering, after: Answering, examples: Mapping[str, Examples]) -> dict[str, Loss]:
    """For every task its headline score with two models."""
    devices = Devices("cpu", "fp32")
    then, now = (evaluate(model, examples, devices) for model in (before, after))
    return {name: _loss(examples[name].task, then[name], now[name]) for name in examples}


def _loss(task: Task, before: Scores, after: Scores) -> Loss:
    metric = task.headline
    score = before[metric]
    return Loss(metric, score.value, after[metric].value, score.se, task.higher_is_better)
