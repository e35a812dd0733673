"""The order `easy_first`: short runs of each task alone, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.training.conftest import Toys, source
from tests.training.test_acceptance import EAGER, assert_same, events_of, weights_of

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.balancing.losses.fixed import FixedWeights
from motet.runs import Event, RunFolder
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.training.convergence import Never, Patience
from motet.training.experiment import Experiment
from motet.training.pilots import alone
from motet.training.responses import Stop
from motet.training.run import Interrupted, Run, resume, start
from motet.training.schedules import Joint, Sequential
from motet.training.snapshots import Snapshots

RULE = replace(EAGER, checks=2)


@pytest.fixture
def tasks() -> tuple[Task, ...]:
    shared = source(24, 16)
    return (
        Classification("mood", source=shared, text="text", label="mood"),
        Regression("count", source=shared, text="text", value="count"),
        Classification("within", source=source(24, 16, seed=7), text=("text", "other"), label="within"),
    )


@pytest.fixture
def experiment(dropout_toys: Toys, tasks: tuple[Task, ...]) -> Experiment:
    schedule = Sequential(order="easy_first", pilot_steps=12)
    return dropout_toys.experiment(RULE, tasks=tasks, schedule=schedule, steps=12, check_every=2)


def order_of(run: Run) -> list[str]:
    """The order that the plan shows."""
    (plan,) = events_of(run, "plan")
    order: list[str] = plan["settings"]["schedule"]["order"]
    return order


def steps_to_converge(run: Run, task: str) -> float:
    pilot = RunFolder(run.folder.path / "pilots" / task)
    steps = [event["best_step"] for event in pilot.events() if event["event"] == "converged"]
    return steps[0] if steps else float("inf")


def test_the_order_is_that_of_the_pilots(dropout_toys: Toys, experiment: Experiment) -> None:
    run = dropout_toys.start(experiment)
    needed = {task.name: steps_to_converge(run, task.name) for task in experiment.tasks}
    assert order_of(run) == sorted(needed, key=needed.__getitem__)
    assert len(set(needed.values())) > 1, "or the order shows nothing"
    first = events_of(run, "step")[0]
    assert [task for task, count in first["rows"].items() if count] == order_of(run)[:1]


def test_pilots_leave_no_trace_in_the_run(dropout_toys: Toys, experiment: Experiment) -> None:
    found = dropout_toys.start(experiment)
    known = dropout_toys.start(replace(experiment, schedule=Sequential(order=tuple(order_of(found)))))
    assert_same(weights_of(found), weights_of(known))


@pytest.mark.parametrize("kill_at", [3, 9])
def test_a_run_that_is_killed_does_not_repeat_them(dropout_toys: Toys, experiment: Experiment, kill_at: int) -> None:
    whole = dropout_toys.start(experiment)

    def kill(event: Event) -> None:
        if event["event"] == "step" and event["step"] == kill_at:
            raise KeyboardInterrupt

    out = dropout_toys.folder / "killed"
    with pytest.raises(KeyboardInterrupt):
        start(experiment, out, listeners=[kill])
    before = {file: file.stat().st_mtime_ns for file in (out / "pilots").rglob("events.jsonl")}
    resumed = resume(out, experiment)
    assert len(before) == 3
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert order_of(resumed) == order_of(whole)
    assert_same(weights_of(whole), weights_of(resumed))


def test_a_run_that_is_stopped_in_a_pilot_goes_on_there(
    dropout_toys: Toys, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dropout_toys.start(experiment)
    out, saves, save = dropout_toys.folder / "stopped", [], Snapshots.save

    def stop(snapshots: Snapshots, scores: Any = None) -> None:
        save(snapshots, scores)
        saves.append(scores)
        if len(saves) == 5:
            raise Interrupted("stopped")

    monkeypatch.setattr(Snapshots, "save", stop)
    with pytest.raises(Interrupted, match=r"Stopped before the first step. `motet resume .*stopped` goes on"):
        start(experiment, out)
    monkeypatch.undo()
    assert not (out / "events.jsonl").exists()
    resumed = resume(out, experiment)
    assert order_of(resumed) == order_of(whole)
    assert_same(weights_of(whole), weights_of(resumed))


def test_a_pilot_is_the_experiment_with_one_task(dropout_toys: Toys, tasks: tuple[Task, ...]) -> None:
    weights = FixedWeights(weights=dict.fromkeys(("mood", "count", "within"), 2.0))
    layers = HardSharing(read_layer={"mood": 1, "within": 2})
    rule = replace(RULE, rewind="full", tasks={"within": {"checks": 7}})
    experiment = dropout_toys.experiment(rule, tasks=tasks, balance=weights, architecture=layers, steps=900)
    pilot = alone(experiment, experiment.tasks[2], steps=50)
    assert [task.name for task in pilot.tasks] == ["within"]
    assert pilot.architecture == HardSharing(read_layer={"within": 2})
    assert pilot.convergence == replace(RULE, checks=7, rewind="none", then=Stop())
    assert (pilot.training.steps, pilot.training.check_every) == (50, 3)
    assert pilot.training == replace(experiment.training, steps=50)
    assert isinstance(pilot.schedule, Joint)


def test_without_a_rule_a_pilot_takes_the_default_one(dropout_toys: Toys, tasks: tuple[Task, ...]) -> None:
    experiment = dropout_toys.experiment(Never(), tasks=tasks, check_every=None)
    pilot = alone(experiment, experiment.tasks[0], steps=50)
    assert pilot.convergence == Patience(then=Stop())
    assert pilot.training.check_every is None


def test_other_orders_need_no_pilots(dropout_toys: Toys, tasks: tuple[Task, ...]) -> None:
    run = dropout_toys.run(RULE, tasks=tasks, schedule=Sequential(order="size_desc"), steps=2)
    assert order_of(run) == ["mood", "count", "within"]
    assert not Path(run.folder.path / "pilots").exists()


def test_the_plan_warns_of_a_task_that_is_waited_for_in_vain(dropout_toys: Toys, tasks: tuple[Task, ...]) -> None:
    run = dropout_toys.run(Never(), tasks=tasks, schedule=Sequential(), steps=2)
    warnings = [event for event in events_of(run, "warning") if event["code"] == "schedule-waits"]
    assert len(warnings) == 1
    assert warnings[0]["message"].endswith("never do: `mood`, `count`, `within`.")
    quiet = dropout_toys.run(Never(), tasks=tasks[:1], schedule=Sequential(), steps=2)
    assert not [event for event in events_of(quiet, "warning") if event["code"] == "schedule-waits"]
