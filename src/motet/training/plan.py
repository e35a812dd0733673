"""Everything that is done before the first step: data read and checked, model built, the plan to print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from motet.architectures.cost import multiply_adds
from motet.data.corpus import Corpus, load_corpus
from motet.data.coverage import coverage
from motet.data.examples import Examples
from motet.data.sources import as_source
from motet.encoders.loading import load_tokenizer, locate
from motet.errors import DataError, Problem
from motet.model import MultiTaskModel, build
from motet.registry import part_name
from motet.runs import Event
from motet.tasks.base import Task
from motet.training import comparing
from motet.training.baselines import baselines
from motet.training.beginning import taken
from motet.training.devices import Devices
from motet.training.experiment import Experiment
from motet.training.feed import Feed
from motet.training.footprint import bytes_per_token, soft_label_bytes
from motet.training.guidance import Guide, guides_of
from motet.training.penalties import require_fitting
from motet.training.responses import Distill
from motet.training.trainer import facts, seed_everything

__all__ = ["Prepared", "prepare"]

_TEXT = 64  # sub-words of the text whose cost is told


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Args:
        experiment: with the interval of checks filled in.
        corpus: examples to learn from and to judge by.
        model: with fresh heads.
        devices: of this process.
        feed: at its beginning.
        guides: by task, the model of another run that teaches it.
        baselines: by task, the score of a constant answer; None where there is none.
        plan: the `plan` event.
    """

    experiment: Experiment
    corpus: Corpus
    model: MultiTaskModel
    devices: Devices
    feed: Feed
    guides: dict[str, Guide]
    baselines: dict[str, float | None]
    plan: Event


def prepare(experiment: Experiment, folder: Path | None = None, precision: str | None = None) -> Prepared:
    """Read, check and build everything that a run needs.

    Args:
        experiment: what to run.
        folder: where relative paths of sources are looked up, besides the working directory.
        precision: instead of choosing one by the experiment; a resumed run keeps its own.

    Raises:
        UserError: everything that would keep the run from starting.
    """
    training = experiment.training
    devices = Devices(training.device, precision or training.precision)
    tokenizer = load_tokenizer(experiment.encoder, locate(experiment.encoder))
    corpus = load_corpus(experiment.tasks, tokenizer, experiment.encoder.max_length, folder)
    _require_splits(corpus)
    experiment = replace(
        experiment, schedule=experiment.schedule.resolve(facts(corpus, experiment.convergence), training.seed)
    )
    validation = corpus.examples("validation")
    few = {task: examples.take(training.validation_rows, training.seed) for task, examples in validation.items()}
    corpus = replace(corpus, splits={**corpus.splits, "validation": few})
    seed_everything(training.seed)
    model = build(experiment.encoder, experiment.architecture, corpus.tasks)
    begun = taken(model, experiment.start_from)
    require_fitting(experiment.regularisers, model)
    guides = guides_of(experiment.teachers, model, devices)
    if devices.rank:
        torch.manual_seed(training.seed + devices.rank)  # equal weights, but dropout of its own in every process
    feed = Feed(corpus, experiment, model.padding(), devices.count)
    comparing.require_comparable(experiment, model, feed)
    if training.check_every is None:
        experiment = replace(experiment, training=replace(training, check_every=_interval(experiment, corpus, feed)))
    floors = baselines(corpus, experiment.convergence)
    plan = _plan(experiment, corpus, model, devices, feed)
    taught = [f"{task}: taught by {guide.recipe.run} beside its labels" for task, guide in guides.items()]
    plan["notes"] = [*begun, *taught, *plan["notes"]]
    plan["tasks"] = [{**row, "baseline": floors[row["name"]]} for row in plan["tasks"]]
    return Prepared(experiment, corpus, model, devices, feed, guides, floors, plan)


def _require_splits(corpus: Corpus) -> None:
    problems = [
        Problem(f"tasks.{task}", f"has no labelled {split} row")
        for split in ("train", "validation")
        for task in corpus.tasks
        if task not in corpus.examples(split)
    ]
    if problems:
        raise DataError(problems, heading="The data")


def _interval(experiment: Experiment, corpus: Corpus, feed: Feed) -> int:
    """A twentieth of the steps, or an epoch of the smallest task if that is shorter.

    But a check costs at most a quarter of the training since the one before; a forward pass is a third of a step.
    """
    training, rows, train = experiment.training, feed.task_rows(), corpus.examples("train")
    epochs = [len(train[task]) / rows[task] for task in train if rows[task]]  # some samplers leave tasks out
    read = {id(e.tokens): int(e.tokens.lengths[e.rows].sum()) for e in corpus.examples("validation").values()}
    cheapest = sum(read.values()) / 3 / (0.25 * training.tokens_per_batch * training.accumulate)
    return min(training.steps, max(1, round(max(min(training.steps / 20, *epochs), cheapest))))


def _plan(experiment: Experiment, corpus: Corpus, model: MultiTaskModel, devices: Devices, feed: Feed) -> Event:
    training = experiment.training
    settings = {key: value for key, value in experiment.describe().items() if key != "tasks"}
    tables = {name: examples.table for name, examples in corpus.examples("train").items()}
    batches, vocabulary = training.steps * training.accumulate, model.arrangement.trunk.vocabulary
    return {
        "steps": training.steps,
        "check_every": training.check_every,
        "seed": training.seed,
        "precision": devices.precision,
        "device": devices.device.type,
        "processes": devices.count,
        "threads": torch.get_num_threads(),
        "encoder": {
            "name": experiment.encoder.name,
            "layers": model.arrangement.trunk.depth,
            "max_length": experiment.encoder.max_length,
            "parameters": sum(p.numel() for p in model.arrangement.trunk.parameters()),
        },
        "parameters": model.parameter_counts(),
        "multiply_adds": _multiply_adds(model),
        "tokens_per_batch": training.tokens_per_batch,
        "epochs": round(feed.planned, 2),
        "settings": settings,
        "tasks": [_task_row(task, corpus, feed, batches, vocabulary) for task in corpus.tasks.values()],
        "coverage": [found.plain() for found in coverage(list(corpus.tasks.values()), tables)],
        "notes": [*corpus.notes, *_notes(experiment, corpus), *comparing.notes(experiment, model, feed)],
        "warnings": [*_warnings(feed), *_waiting(experiment), *comparing.warnings(experiment)],
    }


def _multiply_adds(model: MultiTaskModel) -> dict[str, Any]:
    """What one text costs each task."""
    length = min(_TEXT, model.encoder.max_length)
    of = {name: multiply_adds(model.arrangement, task, length) for name, task in model.tasks.items()}
    return {"tokens": length, "of": of}


def _task_row(task: Task, corpus: Corpus, feed: Feed, batches: int, vocabulary: int) -> dict[str, Any]:
    train, validation = corpus.examples("train")[task.name], corpus.examples("validation")[task.name]
    rows = feed.task_rows()[task.name]
    return {
        "name": task.name,
        "type": part_name(task),
        "answer": task.answer,
        "source": as_source(task.source).name,
        "metric": task.headline,
        "higher_is_better": task.higher_is_better,
        "train": len(train),
        "validation": len(validation),
        "test": None,
        "weight": task.weight,
        "rows_per_step": round(rows, 2),
        "share": round(rows / feed.rows_per_step, 4),
        "epochs": round(batches * rows / len(train), 2),
        "truncated": round(train.tokens.truncated, 4),
        "soft_labels": soft_label_bytes(train, vocabulary),
        "bytes_per_token": bytes_per_token(task, vocabulary),
    }


def _notes(experiment: Experiment, corpus: Corpus) -> Iterable[str]:
    for name, task in corpus.tasks.items():
        rule = experiment.convergence.of(name)
        if rule is not None and isinstance(rule.then, Distill) and not task.recordable:
            yield f"{name}: held by an online teacher, since other words are hidden in every step"


def _warnings(feed: Feed) -> Iterable[dict[str, str]]:
    for task, rows in feed.task_rows().items():
        share = rows / feed.rows_per_step
        if share < 0.01:
            message = f"`{task}` gets {share:.1%} of the rows. A higher sampler temperature gives it more."
            yield {"code": "task-starved", "task": task, "message": message}


def _waiting(experiment: Experiment) -> Iterable[dict[str, Any]]:
    """Tasks that never converge and whose convergence the schedule waits for."""
    names = [task.name for task in experiment.tasks]
    vain = [name for name in names if experiment.schedule.waits_for(name) and experiment.convergence.of(name) is None]
    if vain and len(names) > 1:
        listed = ", ".join(f"`{name}`" for name in vain)
        message = f"This schedule waits until a task has converged before the next one joins, and never do: {listed}."
        yield {"code": "schedule-waits", "task": None, "message": message}


def row_names(corpus: Corpus, task: str, examples: Sequence[int]) -> list[str]:
    """Ids of some training examples."""
    of_task: Examples = corpus.examples("train")[task]
    return [of_task.id(example) for example in examples]
