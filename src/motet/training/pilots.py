"""Short runs of each task alone, which tell how soon it converges: what the order `easy_first` goes by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from motet.architectures.naming import without
from motet.balancing.losses.sum import Sum
from motet.registry import describe
from motet.runs import RunFolder
from motet.sampling.temperature import Temperature
from motet.tasks.base import Task
from motet.training.convergence import Patience
from motet.training.experiment import Experiment
from motet.training.plan import Prepared
from motet.training.responses import Stop
from motet.training.schedules.joint import Joint
from motet.training.schedules.sequential import Sequential
from motet.training.trainer import generators, restore_generators

__all__ = ["alone", "piloted"]

Go = Callable[[Experiment, Path], object]


def piloted(prepared: Prepared, given: Experiment, run: RunFolder, go: Go) -> Prepared:
    """The same with the order of the tasks filled in, where the schedule wants it found by runs.

    They lie in the folder `pilots` of the run. Finished ones are not repeated, and none is made where the plan of the
    run knows the order.

    Args:
        prepared: the experiment.
        given: the same before anything was filled in.
        run: its folder.
        go: begins a run in a folder, or goes on with it.
    """
    schedule = prepared.experiment.schedule
    if not isinstance(schedule, Sequential) or schedule.order != "easy_first":
        return prepared
    before = generators()
    order = _recorded(run) or _easiest_first(given, run, schedule.pilot_steps, go)
    restore_generators(before)
    experiment = replace(prepared.experiment, schedule=replace(schedule, order=order))
    settings = {**prepared.plan["settings"], "schedule": describe(experiment.schedule)}
    return replace(prepared, experiment=experiment, plan={**prepared.plan, "settings": settings})


def _recorded(run: RunFolder) -> tuple[str, ...]:
    plan = next((event for event in run.events() if event["event"] == "plan"), None)
    return tuple(plan["settings"]["schedule"]["order"]) if plan else ()


def _easiest_first(experiment: Experiment, run: RunFolder, steps: int, go: Go) -> tuple[str, ...]:
    """The tasks by the step of their peak; those that do not converge come last, and equals in the given order."""
    needed = {}
    for task in experiment.tasks:
        pilot = RunFolder(run.path / "pilots" / task.name)
        if not _events(pilot, "end"):
            go(alone(experiment, task, steps), pilot.path)
        needed[task.name] = min((event["best_step"] for event in _events(pilot, "converged")), default=math.inf)
    return tuple(sorted(needed, key=needed.__getitem__))


def _events(run: RunFolder, name: str) -> list[dict[str, int]]:
    return [event for event in run.events() if event["event"] == name]


def alone(experiment: Experiment, task: Task, steps: int) -> Experiment:
    """The experiment with one task, which stops when that has converged."""
    others = {other.name for other in experiment.tasks} - {task.name}
    rule = experiment.convergence.of(task.name) or Patience()
    interval = experiment.training.check_every
    return replace(
        experiment,
        tasks=(task,),
        architecture=without(experiment.architecture, others),
        sampler=Temperature(),
        schedule=Joint(),
        balance=Sum(),
        regularisers=(),
        teachers=(),
        convergence=replace(rule, then=Stop(), rewind="none"),
        training=replace(experiment.training, steps=steps, check_every=interval and min(steps, interval)),
    )
