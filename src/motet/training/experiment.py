"""Everything that defines a run, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from motet.architectures.base import Architecture
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.balancing.base import Balance
from motet.balancing.losses.sum import Sum
from motet.balancing.regularisers.base import Regulariser
from motet.data.sources import as_source
from motet.encoders.loading import Encoder
from motet.errors import Problem, RecipeError, require
from motet.registry import describe, part_name
from motet.sampling.base import Sampler
from motet.sampling.temperature import Temperature
from motet.tasks.base import Task
from motet.training.beginning import Start
from motet.training.convergence import Convergence, Patience
from motet.training.pretrained_teachers import PretrainedTeacher
from motet.training.representations import has_classes
from motet.training.responses import Distill
from motet.training.schedules.base import Schedule
from motet.training.schedules.joint import Joint

__all__ = ["OTHER_RUNS", "Experiment", "Training"]

OTHER_RUNS = ("start_from", "teachers")
"""Sections that name other runs: told where there are any, and in no card."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long, how fast, how much at a time.

    Args:
        steps: optimiser steps, discarded ones included. The learning rate goes by them, whatever ends the run.
        max_tokens: the run ends with the step that brings it to so many tokens, padding left out.
        max_seconds: and with the step that brings all steps to so many seconds. Checks are not counted.
        tokens_per_batch: tokens of a step, on average over an epoch.
        batches: `mixed` puts rows of all tasks into every step, by the shares of the sampler; `single` those of one
            task, drawn with these shares as chances.
        accumulate: batches whose gradients make one step.
        learning_rate: the highest, after warm-up.
        head_learning_rate: the same for what is not in the trunk; by default `learning_rate`.
        weight_decay: of AdamW, on matrices only.
        warmup: share of the steps in which the rate rises from nothing.
        decay: how it falls afterwards; `linear` and `cosine` reach nothing at the last step.
        rewound: what a rewind does to the rate. `back` takes it to what it was at that step, `on` lets it go by all
            work done, so that it ends with the budget, and `restart` begins anew, warm-up included, over the steps that
            are left (Loshchilov, Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts").
        clip: longest gradient; None leaves it alone.
        check_every: steps between two validations; by default a twentieth of the steps, or an epoch of the smallest
            task if that is shorter.
        validation_rows: most validation rows of a task, the same ones every time.
        precision: `bf16` computes in bfloat16 where that is safe; `auto` measures whether that is faster here.
        device: `cpu`, `cuda`, or the best there is.
        final: which weights become the model: those after the last event, or those with the best mean of scores
            relative to each task's best.
        seed: of everything random.
        log_every: steps between two lines of losses.

    Example:
        >>> Training(steps=300).tokens_per_batch
        2048
    """

    steps: int = 1000
    max_tokens: int | None = None
    max_seconds: float | None = None
    tokens_per_batch: int = 2048
    batches: Literal["mixed", "single"] = "mixed"
    accumulate: int = 1
    learning_rate: float = 1e-4
    head_learning_rate: float | None = None
    weight_decay: float = 0.01
    warmup: float = 0.05
    decay: Literal["linear", "cosine", "constant"] = "linear"
    rewound: Literal["back", "on", "restart"] = "back"
    clip: float | None = 1.0
    check_every: int | None = None
    validation_rows: int | None = 2000
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    final: Literal["last", "best_mean"] = "last"
    seed: int = 0
    log_every: int = 10

    def __post_init__(self) -> None:
        require(self._problems())

    def _problems(self) -> Iterable[Problem]:
        amounts = ("tokens_per_batch", "accumulate", "check_every", "validation_rows", "log_every")
        for name in ("steps", "max_tokens", *amounts):
            value = getattr(self, name)
            if value is not None and value < 1:
                yield Problem(name, "must be at least 1", str(value))
        for name in ("max_seconds", "learning_rate", "head_learning_rate", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                yield Problem(name, "must be a positive number", str(value))
        if not self.weight_decay >= 0:
            yield Problem("weight_decay", "must be at least 0", str(self.weight_decay))
        if not 0 <= self.warmup <= 1:
            yield Problem("warmup", "must be a share of the steps, 0 to 1", str(self.warmup))
        if self.seed < 0:
            yield Problem("seed", "must be at least 0", str(self.seed))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Tasks, encoder and parts: what a recipe spells and `motet.train` is given.

    Raises:
        RecipeError: no task, or two of one name.
    """

    tasks: tuple[Task, ...]
    encoder: Encoder = field(default_factory=Encoder)
    architecture: Architecture = field(default_factory=HardSharing)
    sampler: Sampler = field(default_factory=Temperature)
    schedule: Schedule = field(default_factory=Joint)
    balance: Balance = field(default_factory=Sum)
    regularisers: tuple[Regulariser, ...] = ()
    convergence: Convergence = field(default_factory=Patience)
    training: Training = field(default_factory=Training)
    start_from: Start = field(default_factory=Start)
    teachers: tuple[PretrainedTeacher, ...] = ()

    def __post_init__(self) -> None:
        if self.start_from:
            encoder, architecture = self.start_from.parts(self.encoder, self.architecture, self.tasks, HardSharing())
            object.__setattr__(self, "encoder", encoder)
            object.__setattr__(self, "architecture", architecture)
        problems = list(_task_problems(self.tasks))
        problems += self.convergence.problems({task.name: task.monitors for task in self.tasks})
        problems += _teacher_problems(self.tasks, self.convergence)
        problems += _drawn_problems(self.teachers, self.convergence, self.tasks)
        problems += self.sampler.problems(self.tasks)
        problems += self.balance.problems([task.name for task in self.tasks])
        problems += self.schedule.problems([task.name for task in self.tasks])
        problems += _penalty_problems(self.regularisers, self.tasks, self.training)
        if problems:
            raise RecipeError(problems)
        sources = tuple(replace(task, source=as_source(task.source)) for task in self.tasks)
        object.__setattr__(self, "tasks", sources)

    def describe(self) -> dict[str, Any]:
        """The experiment as a recipe spells it."""
        apart = {"tasks", *(name for name in OTHER_RUNS if not getattr(self, name))}
        parts = [f.name for f in fields(self) if f.name not in apart]
        tasks = {task.name: {k: v for k, v in describe(task).items() if k != "name"} for task in self.tasks}
        return {"tasks": tasks, **{part: describe(getattr(self, part)) for part in parts}}


def _teacher_problems(tasks: Sequence[Task], convergence: Convergence) -> Iterable[Problem]:
    for task in tasks:
        then = rule.then if (rule := convergence.of(task.name)) is not None else None
        if not isinstance(then, Distill):
            continue
        if then.teacher == "written" and not task.written:
            remedy = "Set the teacher of this task alone under convergence.tasks."
            yield Problem(
                f"convergence.then.teacher of {task.name}", "writes texts, which this task does not", "written", remedy
            )
        if then.combine == "predictions" and not task.mergeable:
            rule_broken = "has no mean for this task: each prediction is about the likeliest sub-words of its own"
            yield Problem(
                f"convergence.then.combine of {task.name}", rule_broken, "predictions", "Set `combine: weights`."
            )


def _drawn_problems(
    teachers: Sequence[PretrainedTeacher], convergence: Convergence, tasks: Sequence[Task]
) -> Iterable[Problem]:
    responses = [rule.then for task in tasks if (rule := convergence.of(task.name)) is not None]
    if teachers and any(isinstance(then, Distill) and then.gradual for then in responses):
        yield Problem("teachers", "cannot go with `gradual`: each says how much of the truth is learnt")


def _penalty_problems(
    regularisers: Sequence[Regulariser], tasks: Sequence[Task], training: Training
) -> Iterable[Problem]:
    able = {task.name: has_classes(task) for task in tasks}
    for place, part in enumerate(regularisers):
        yield from (problem.under(f"regularisers.{place}") for problem in part.problems(able))
        if part.compares and training.batches == "single":
            rule = f"puts rows of one task into a batch, and {part_name(part)} compares those of several"
            yield Problem("training.batches", rule, "single")


def _task_problems(tasks: Sequence[Task]) -> Iterable[Problem]:
    if not tasks:
        yield Problem("tasks", "must hold at least one task")
    names = [task.name for task in tasks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(f"tasks.{name}", "is the name of more than one task")
