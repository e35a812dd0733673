"""Schedules in runs: they go with every answer to convergence, go on exactly, and are what they claim to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from tests.training.conftest import Toys, require_same_model
from tests.training.schedules.traces import EVERY, NAMES
from tests.training.test_acceptance import EAGER, assert_same, events_of, weights_of
from torch import Tensor

from motet import registry
from motet.errors import RunError
from motet.runs import Event, RunFolder
from motet.training.checkpoints import Checkpoints
from motet.training.convergence import PRESETS, Never
from motet.training.optimisation import Clock, rate
from motet.training.plan import prepare
from motet.training.responses import Continue, Distill, Drop, Response, Stop
from motet.training.run import trainer_of
from motet.training.schedules import (
    Curriculum,
    Joint,
    LowToHigh,
    Moment,
    Phase,
    Phases,
    PrimaryAuxiliary,
    PrimaryFirst,
    Schedule,
    Sequential,
    StateMachine,
    Timetable,
    WorstFirst,
)
from motet.training.snapshots import Snapshots
from motet.training.trainer import Trainer

ANSWERS: dict[str, tuple[Response, Literal["full", "weights", "none"]]] = {
    "distill": (Distill(), "full"),
    "continue": (Continue(), "weights"),
    "drop": (Drop(), "none"),
}


def told(events: list[Event]) -> list[Any]:
    """What a run and its continuation must say alike."""
    keys = ("event", "task", "step", "logical", "losses", "rows", "kinds", "learning_rate", "headline", "states")
    left_out = ("resumed", "checkpoint", "plan", "soft_labels")
    return [[event.get(key) for key in keys] for event in events if event["event"] not in left_out]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", EVERY)
def test_every_answer_goes_with_every_schedule_and_a_cut_run_goes_on_exactly(
    toys: Toys, name: str, answer: str
) -> None:
    then, rewind = ANSWERS[answer]
    rule = replace(EAGER, then=then, rewind=rewind)
    experiment = toys.experiment(rule, schedule=EVERY[name], steps=12, check_every=3, decay="constant", seed=3)
    whole = toys.start(experiment)
    steps = events_of(whole, "step")
    assert all(any(event["rows"].values()) for event in steps)
    assert steps[-1]["step"] == 12 or whole.reason == "all converged"

    cut = toys.goes_on(experiment, "step", 5)
    assert told(cut.folder.events()) == told(whole.folder.events())
    require_same_model(cut, whole)


@pytest.mark.parametrize("name", ["joint", "sequential", "phases"])
def test_every_schedule_ends_where_the_first_task_stops_it(toys: Toys, name: str) -> None:
    run = toys.run(replace(EAGER, then=Stop()), schedule=EVERY[name], steps=30, check_every=2)
    assert run.reason == "stopped"
    (end,) = events_of(run, "end")
    assert {event["step"] for event in events_of(run, "converged")} == {end["step"]}


@pytest.mark.parametrize("name", ["sequential", "phases", "state_machine"])
def test_nobody_converges_without_a_rule(toys: Toys, name: str) -> None:
    run = toys.run(Never(), schedule=EVERY[name], steps=6, check_every=2)
    assert run.reason == "steps"
    assert not events_of(run, "converged")


@pytest.mark.parametrize("name", EVERY)
def test_a_full_rewind_repeats_the_same_trajectory(dropout_toys: Toys, name: str) -> None:
    trainer = trainer_of(prepare(dropout_toys.experiment(schedule=EVERY[name], tokens_per_batch=60)), None)
    snapshots = Snapshots(trainer, Checkpoints(RunFolder(dropout_toys.folder / "rewound")))
    _steps(trainer, 5)
    snapshots.save({})
    first = _steps(trainer, 6)
    snapshots.rewind(snapshots.current, "full")
    assert _steps(trainer, 6) == first


def _steps(trainer: Trainer, count: int) -> list[Any]:
    """Who learned from how many rows at which rate, and what came of it; a check before every second step."""
    seen = []
    for _ in range(count):
        if trainer.clock.logical % 2 == 0:
            scores = {name: -(trainer.clock.logical % 5) - number / 10 for number, name in enumerate(NAMES)}
            trainer.scheduler.observe(scores, trainer.now)
        live, factor = trainer.live, trainer.rate
        trainer.step()
        weights = sum(float(weight.double().sum()) for weight in trainer.model.state_dict().values())
        seen.append((live, factor, dict(trainer.feed.drawn), weights))
    return seen


ALONE: dict[str, Schedule] = {
    "sequential": Sequential(),
    "low_to_high": LowToHigh(),
    "curriculum": Curriculum(scores={"mood": 0.8}),
    "worst_first": WorstFirst(),
    "primary_first": PrimaryFirst(primary="mood", first_steps=3),
    "primary_auxiliary": PrimaryAuxiliary(primary="mood"),
    "phases": Phases(phases=(Phase(tasks=("mood",), steps=3), Phase(tasks=("mood",)))),
}


@pytest.mark.parametrize("name", ALONE)
def test_with_one_task_it_is_single_task_training_bit_for_bit(dropout_toys: Toys, name: str) -> None:
    rule = replace(EAGER, checks=2, rewind="full")
    settings: dict[str, Any] = {"tasks": dropout_toys.tasks[:1], "steps": 20, "check_every": 2}
    alone = dropout_toys.run(rule, schedule=Joint(), **settings)
    scheduled = dropout_toys.run(rule, schedule=ALONE[name], **settings)
    assert_same(weights_of(alone), weights_of(scheduled))
    assert told(alone.folder.events()) == told(scheduled.folder.events())


NAIVE: dict[str, Schedule] = {
    "joint": Joint(),
    "phases": Phases(phases=(Phase(tasks=("mood", "places"), steps=4), Phase(tasks=("mood", "places")))),
    "primary_auxiliary": PrimaryAuxiliary(primary="mood"),
}


@pytest.mark.parametrize("name", ["joint", "phases", "primary_auxiliary"])
def test_endless_patience_is_naive_joint_training_bit_for_bit(dropout_toys: Toys, name: str) -> None:
    tasks = tuple(task for task in dropout_toys.tasks if task.name in ("mood", "places"))
    naive = dropout_toys.run(Never(), tasks=tasks)
    patient = dropout_toys.run(replace(EAGER, checks=10**6), tasks=tasks, schedule=NAIVE[name])
    assert_same(weights_of(naive), weights_of(patient))


@pytest.mark.parametrize("balance", ["sum", "pcgrad"])
def test_a_task_that_has_not_begun_is_not_touched_by_the_optimiser(toys: Toys, balance: str) -> None:
    part, schedule = registry.find("balance", balance)(), Sequential(order=("mood", "places", "count", "within"))
    experiment = toys.experiment(balance=part, schedule=schedule, decay="constant", weight_decay=0.5)
    trainer = trainer_of(prepare(experiment), None)
    before = _own(trainer, "places")
    for _ in range(3):
        trainer.step()
    assert_same(before, _own(trainer, "places"))
    assert _taken(trainer, "places") == set()
    trainer.settled.add("mood")
    trainer.step()
    assert _taken(trainer, "places") == {1}, "its moments begin with its first step"
    assert _taken(trainer, "mood") == {4}
    assert all(not torch.equal(weight, before[name]) for name, weight in _own(trainer, "places").items())
    assert _taken(trainer, "count") == set()


def _own(trainer: Trainer, task: str) -> dict[str, Tensor]:
    own = {id(p) for p in trainer.model.arrangement.own_parameters(task)}
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if id(p) in own}


def _taken(trainer: Trainer, task: str) -> set[int]:
    """The numbers of updates that the optimiser has made on a task's own parameters; none where it made none."""
    state = trainer.optimiser._adam.state
    return {int(state[p]["step"]) for p in trainer.model.arrangement.own_parameters(task) if p in state}


@pytest.mark.parametrize(("factor", "after"), [(1.0, 0.1), (0.25, 0.025)])
def test_a_schedule_scales_the_rate_of_the_optimiser_and_of_the_journal(
    toys: Toys, factor: float, after: float
) -> None:
    training: dict[str, Any] = {
        "warmup": 0.0,
        "decay": "constant",
        "learning_rate": 0.1,
        "check_every": 1,
        "weight_decay": 0.0,
    }
    trainer = trainer_of(prepare(toys.experiment(schedule=StateMachine(factor=factor), clip=None, **training)), None)
    for score in (0.5, 0.4):
        trainer.scheduler.observe(dict.fromkeys(NAMES, score), trainer.now)
    assert trainer.rate == pytest.approx(after)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.step()
    moved = max(float((p.detach() - before[name]).abs().max()) for name, p in trainer.model.named_parameters())
    assert moved == pytest.approx(after, rel=1e-3), "the first step of Adam is as long as the rate"


def test_the_rate_that_is_written_is_the_one_that_is_used(toys: Toys) -> None:
    schedule = LowToHigh(rate_decay=0.5)
    run = toys.run(schedule=schedule, steps=12, check_every=3, tasks=toys.tasks[:1], tokens_per_batch=300)
    training = toys.experiment(steps=12).training
    checks = {event["step"]: event["own_epochs"]["mood"] for event in events_of(run, "check")}
    for event in (event for event in events_of(run, "step") if event["step"] in checks):
        factor = schedule.rate(Moment(["mood"], epochs={"mood": checks[event["step"]]}))
        rated = rate(training, Clock(event["step"], event["logical"]))
        assert event["learning_rate"] == pytest.approx(training.learning_rate * rated * factor)
    assert max(checks.values()) > 1


# The cap rule


def test_only_tasks_that_have_begun_are_capped(toys: Toys) -> None:
    order = ("places", "mood", "count", "within")
    run = toys.run(replace(PRESETS["paper"], checks=50), schedule=Sequential(order=order), steps=8, check_every=2)
    assert run.reason == "steps"
    assert [event["tasks"] for event in events_of(run, "capped")] == [["places"]]
    assert {task: of["state"] for task, of in run.scores.items()} == {
        "mood": "waiting",
        "count": "waiting",
        "within": "waiting",
        "places": "capped",
    }


def test_a_capped_first_task_ends_at_its_own_best(toys: Toys) -> None:
    rule = replace(PRESETS["paper"], checks=50)
    run = toys.run(rule, schedule=Sequential(order=("mood", "count", "within", "places")), steps=24, check_every=2)
    checks = events_of(run, "check")
    scores = [event["headline"]["mood"] for event in checks]
    assert run.scores["mood"]["final"] == max(scores)
    (candidates,) = events_of(run, "candidates")
    assert candidates["last"]["step"] == checks[scores.index(max(scores))]["step"]
    assert scores.index(max(scores)) < len(scores) - 1, "or nothing is shown"


def test_a_cap_in_a_later_phase_goes_back_to_the_best_mean_since_the_floor(toys: Toys) -> None:
    tasks = tuple(task for task in toys.tasks if task.name in ("mood", "places"))
    rule = replace(PRESETS["paper"], checks=2, tasks={"places": {"checks": 100}})
    schedule = Sequential(order=("mood", "places"))
    run = toys.run(rule, schedule=schedule, tasks=tasks, steps=30, check_every=2)
    (switch,) = events_of(run, "converged")
    assert [event["tasks"] for event in events_of(run, "capped")] == [["places"]]
    checks = [event for event in events_of(run, "check") if event["step"] > switch["step"]]
    surviving = [e for e in events_of(run, "check") if e["step"] <= switch["best_step"]] + checks
    bests = {task: max(e["headline"][task] for e in of) for task, of in (("mood", surviving), ("places", checks))}
    at_floor = next(event for event in surviving if event["step"] == switch["best_step"])
    means = {e["step"]: sum(e["headline"][task] / best for task, best in bests.items()) for e in (at_floor, *checks)}
    (candidates,) = events_of(run, "candidates")
    assert candidates["last"]["step"] >= switch["best_step"]
    assert means[candidates["last"]["step"]] == pytest.approx(max(means.values()))


# Who is waited for, and who is not


def test_a_run_ends_with_the_tasks_that_are_ahead(toys: Toys) -> None:
    schedule = Phases(phases=(Phase(tasks=("mood",), steps=2), Phase(tasks=("places", "count", "within"))))
    run = toys.run(replace(EAGER, tasks={"mood": {"checks": 100}}), schedule=schedule, steps=60, check_every=2)
    assert run.reason == "all converged"
    assert {task: of["state"] for task, of in run.scores.items()} == {
        "mood": "capped",
        "count": "converged",
        "within": "converged",
        "places": "converged",
    }


def test_a_rewind_judges_tasks_from_where_it_goes_back_to(toys: Toys) -> None:
    """Also those that did not learn before that check: their earlier checks lie behind the floor."""
    rule = replace(EAGER, checks=4, rewind="full")
    run = toys.run(rule, schedule=PrimaryAuxiliary(primary="mood"), steps=40, check_every=1)
    switch = events_of(run, "converged")[0]
    peaks = [event["best"] for event in events_of(run, "check") if event["step"] > switch["step"]]
    assert switch["discarded"] > 0
    assert peaks
    assert all(best["logical"] >= switch["best_logical"] for of in peaks for best in of.values())


# What happens to tasks that are held while others learn


def test_patience_rests_while_others_learn(toys: Toys) -> None:
    schedule = Phases(phases=(Phase(tasks=("mood",), steps=4), Phase(tasks=("places", "count", "within"))))
    run = toys.run(replace(EAGER, checks=5), schedule=schedule, steps=18, check_every=2)
    assert "mood" not in [event["task"] for event in events_of(run, "converged")], "it had two checks of its own"
    assert run.scores["mood"]["state"] == "capped"


def test_the_last_step_of_a_phase_is_judged(toys: Toys) -> None:
    schedule = Phases(phases=(Phase(tasks=("mood",), steps=3), Phase(tasks=("places", "count", "within"))))
    run = toys.run(Never(), schedule=schedule, steps=9, check_every=3)
    first, *_ = events_of(run, "check")
    assert set(first["best"]) == {"mood"}
    assert first["best"]["mood"]["step"] == 3


@pytest.mark.parametrize("refresh", [False, True])
def test_held_tasks_are_taught_anew_by_the_newest(toys: Toys, refresh: bool) -> None:
    schedule = Sequential(order=("mood", "places", "count", "within"), refresh_soft_labels=refresh)
    run = toys.run(replace(EAGER, rewind="full"), schedule=schedule, steps=60, check_every=2)
    switches = [event["task"] for event in events_of(run, "converged")][:3]
    recorded = [(event["task"], event["teacher_step"]) for event in events_of(run, "soft_labels")]
    peaks = {event["task"]: event["best_step"] for event in events_of(run, "converged")}
    assert switches == ["mood", "places", "count"]
    if refresh:
        assert recorded[:3] == [("mood", peaks["mood"]), ("places", peaks["places"]), ("mood", peaks["places"])]
        assert {task for task, step in recorded[3:6] if step == peaks["count"]} == {"mood", "places", "count"}
    else:
        assert recorded[:3] == [(task, peaks[task]) for task in switches]


def test_a_schedule_that_names_nobody_is_refused_with_a_sentence(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in ("_parts", "_names"):  # of the registry: no other test may meet this one
        monkeypatch.setattr(registry, table, dict(getattr(registry, table)))

    @registry.register("schedule", "of-a-test")
    class Nobody(Timetable):
        def live(self, now: Moment) -> tuple[str, ...]:
            return ()

    trainer = trainer_of(prepare(toys.experiment(schedule=Nobody())), None)
    with pytest.raises(
        RunError, match="no task takes part in step 1: the schedule `of-a-test` names none of mood, count"
    ):
        trainer.step()
