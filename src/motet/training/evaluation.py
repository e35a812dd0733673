"""Scores of a model on a split: one sorted pass over the rows of every table, without gradient."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from motet.answering import Answering
from motet.data.corpus import load_corpus
from motet.data.examples import Examples, counts
from motet.errors import RunError
from motet.metrics.base import Score, clustered_error
from motet.model import MultiTaskModel
from motet.runs import Event, EventLog, RunFolder
from motet.tasks.base import Answers, Scores, Task
from motet.training.devices import Devices
from motet.training.experiment import Experiment
from motet.training.model_card import write_card

__all__ = [
    "Predictions",
    "answers_of",
    "evaluate",
    "evaluate_run",
    "judge",
    "plain",
    "predict_examples",
    "predict_parts",
    "true_loss",
    "write_parts",
]

_ROWS, _NUMBERS = 1 << 16, 1 << 23  # most rows and most logits of a part


@dataclass(frozen=True)
class Predictions:
    """What one task says to all its rows.

    Args:
        values: ``[units, width]``, row after row.
        lengths: units of each row.
    """

    values: np.ndarray
    lengths: np.ndarray


def predict_examples(
    model: Answering,
    examples: Mapping[str, Examples],
    devices: Devices,
    largest: int = 4096,
    *,
    soft: bool = False,
) -> dict[str, Predictions]:
    """What every task says to its examples; rows that several tasks read are encoded once.

    The model is put into evaluation mode and back; no generator is touched.

    Args:
        model: asked.
        examples: by task.
        devices: of this process.
        largest: tokens in a chunk.
        soft: what distillation needs of the logits rather than what scores need.
    """
    found: dict[str, Predictions] = {}
    with model.resting():
        for names in _groups(examples):
            found.update(_read_group(model, {name: examples[name] for name in names}, devices, largest, soft))
    return {name: found[name] for name in examples}


def predict_parts(
    model: MultiTaskModel, examples: Examples, devices: Devices, largest: int = 4096
) -> Iterator[tuple[Examples, Predictions]]:
    """What distillation needs of the logits of one task, for some of its rows after the other.

    So neither the rows nor the logits of a training split have to fit into memory. Rows are sorted by length within a
    part; all processes go through the parts together.

    Args:
        model: asked.
        examples: of the task.
        devices: of this process.
        largest: tokens in a chunk.
    """
    name = examples.task.name
    for places in _parts(examples, examples.task.soft_width(model.arrangement.trunk.vocabulary), largest):
        part = examples.part(places)
        yield part, predict_examples(model, {name: part}, devices, largest, soft=True)[name]


def write_parts(model: MultiTaskModel, examples: Examples, devices: Devices) -> Iterator[tuple[Examples, Predictions]]:
    """The texts that one task writes, as sub-words to learn from, for some of its rows after the other."""
    end = cast(int, model.tokenizer.eos_token_id)
    for start in range(0, len(examples.rows), _ROWS):
        part = examples.part(slice(start, start + _ROWS))
        words = [np.append(row, end) for row in write_examples(model, part, devices)]
        yield part, Predictions(np.concatenate(words)[:, None], np.asarray([len(row) for row in words]))


def _parts(examples: Examples, width: int, largest: int) -> Iterator[slice]:
    """As many rows as have no more than so many logits, but enough for a full chunk."""
    start = 0
    while start < len(examples.rows):
        lengths = examples.tokens.lengths[examples.rows[start : start + _ROWS]]
        units = np.ones_like(lengths) if examples.task.level == "text" else lengths
        fitting = np.searchsorted(np.cumsum(units, dtype=np.int64) * width, _NUMBERS, side="right")
        filling = np.searchsorted(np.cumsum(lengths, dtype=np.int64), largest) + 1
        yield slice(start, start + max(int(fitting), int(filling)))
        start += max(int(fitting), int(filling))


def evaluate(
    model: Answering, examples: Mapping[str, Examples], devices: Devices, losses: Collection[str] = ()
) -> dict[str, Scores]:
    """Every metric of every task, and the true-label loss of those named in `losses`."""
    scores = {}
    for name, predictions in predict_examples(model, examples, devices).items():
        of_task = examples[name]
        texts = model.spell(write_examples(model, of_task, devices)) if of_task.task.generates else []
        scores[name] = judge(model.tasks[name], predictions, of_task, texts)
        if name in losses:
            scores[name]["loss"] = true_loss(model.tasks[name], predictions, of_task)
    return scores


def judge(task: Task, predictions: Predictions, examples: Examples, texts: Sequence[str] = ()) -> Scores:
    """Every metric of one task.

    Args:
        task: whose answers these are.
        predictions: for all rows.
        examples: with the true answers.
        texts: what was written for each row.
    """
    targets = [examples.target(row) for row in range(len(examples.rows))]
    return task.score(answers_of(predictions, examples, texts, records=task.compares_texts), targets)


def true_loss(task: Task, predictions: Predictions, examples: Examples) -> Score:
    """The true-label loss of an answer, averaged over all; its error is that over examples.

    Args:
        task: one of those that keep their logits.
        predictions: for all rows.
        examples: with the true answers.
    """
    answers = answers_of(predictions, examples)
    found = [_example_loss(task, answers.rows, examples, rows) for rows in answers.examples]
    losses, counts = np.asarray(found).T
    if not counts.sum():
        return Score(math.nan, math.nan)
    mean = float(losses.sum() / counts.sum())
    influence = (losses - mean * counts) / counts.sum()  # of each example on the ratio of the two sums
    return Score(mean, clustered_error(influence, np.arange(len(losses))))


def _example_loss(task: Task, values: Sequence[np.ndarray], examples: Examples, rows: np.ndarray) -> tuple[float, int]:
    """The loss of an example, and the number of its answers."""
    logits = torch.from_numpy(np.concatenate([values[int(row)] for row in rows])).float()
    target = torch.from_numpy(np.concatenate([examples.target(int(row)) for row in rows]))
    lengths = np.asarray([len(rows)] if task.group else [len(values[int(row)]) for row in rows])
    return float(task.loss(logits, target, lengths)), task.labelled(target, lengths)


def write_examples(model: Answering, examples: Examples, devices: Devices) -> list[np.ndarray]:
    """The sub-words that the model writes for all rows of one task, without the one that ends a text."""
    pieces: dict[int, np.ndarray] = {}
    with devices.autocast():
        for here, words in model.write(examples.tokens, devices.share(examples.rows), examples.task.name):
            pieces.update(zip(here.tolist(), words, strict=True))
    pieces = devices.gather({examples.task.name: pieces})[examples.task.name]
    return [pieces[int(row)] for row in examples.rows]


def answers_of(
    predictions: Predictions, examples: Examples, texts: Sequence[str] = (), *, records: bool = False
) -> Answers:
    """What was predicted, with all that decoding and scores may ask for.

    Args:
        predictions: for all rows.
        examples: that were read.
        texts: what was written for each row.
        records: whether the columns of the rows are asked for.
    """
    chars = examples.tokens.chars
    return Answers(
        predictions.values,
        predictions.lengths,
        examples.groups,
        examples.records() if records else (),
        () if chars is None else [chars[int(row)] for row in examples.rows],
        texts,
    )


def plain(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Scores as plain data for events."""
    return {task: {metric: score.plain() for metric, score in of.items()} for task, of in scores.items()}


def _groups(examples: Mapping[str, Examples]) -> Iterator[list[str]]:
    groups: dict[int, list[str]] = {}
    for name, of_task in examples.items():
        groups.setdefault(id(of_task.tokens), []).append(name)
    yield from groups.values()


def _read_group(
    model: Answering, examples: Mapping[str, Examples], devices: Devices, largest: int, soft: bool
) -> dict[str, Predictions]:
    tokens = next(iter(examples.values())).tokens
    rows = np.unique(np.concatenate([of_task.rows for of_task in examples.values()]))
    pieces: dict[str, dict[int, np.ndarray]] = {name: {} for name in examples}
    with devices.autocast():
        mine = devices.share(rows)
        for found in model.read(tokens, mine, list(examples), largest, examples=examples, soft=soft):
            for name, (here, values, lengths) in found.items():
                parts = np.split(values, np.cumsum(lengths)[:-1])
                pieces[name].update(zip(here.tolist(), parts, strict=True))
    pieces = devices.gather(pieces)
    return {name: _in_order(examples[name].rows, pieces[name]) for name in examples}


def _in_order(rows: np.ndarray, pieces: Mapping[int, np.ndarray]) -> Predictions:
    parts = [pieces[int(row)] for row in rows]
    return Predictions(np.concatenate(parts), np.asarray([len(part) for part in parts]))


def evaluate_run(run: RunFolder, experiment: Experiment, *, split: str = "test", folder: Path | None = None) -> Event:
    """Score the model of a finished run on a split, note it in the events of the run, and return that event.

    Args:
        run: the run folder.
        experiment: the one the run was begun with.
        split: usually `test`, which nothing else ever reads.
        folder: where relative paths of sources are looked up.

    Raises:
        RunError: the run has no model, or no task has that split.
    """
    manifest = run.read_json(run.manifest_file)
    model = MultiTaskModel.from_pretrained(run.model)
    devices = Devices(experiment.training.device, manifest["precision"])
    model.to(devices.device)
    tasks = experiment.tasks
    corpus = load_corpus(tasks, model.tokenizer, experiment.encoder.max_length, folder, splits=(split,))
    examples = corpus.examples(split)
    if not examples:
        raise RunError(f"no task of {run.path} has rows in the split `{split}`.")
    scores = plain(evaluate(model, examples, devices))
    before = run.events()
    log = EventLog(run.events_file)
    log.write("evaluation", split=split, model="model", scores=scores, rows=counts(examples))
    log.close()
    write_card(run, experiment, before=before)
    return run.events()[-1]
