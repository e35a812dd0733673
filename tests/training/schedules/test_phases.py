"""Phases by steps and by epochs, and the two schedules that are two of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.training.schedules.traces import Drive

from motet.errors import RecipeError
from motet.training.schedules import Phase, Phases, PretrainFinetune, PrimaryFirst, Schedule


def phases(*of: Phase) -> Phases:
    return Phases(phases=of)


ABC = phases(Phase(tasks=("a",), steps=2), Phase(tasks=("b", "a"), epochs=0.5), Phase(tasks=("c",)))


def test_a_trace_by_hand() -> None:
    drive = Drive(ABC, ("a", "b", "c"))
    assert drive.steps(6) == ["a", "a", "a+b", "a+b", "c", "c"]


def test_epochs_are_counted_within_the_phase_for_every_task() -> None:
    drive = Drive(ABC, ("a", "b", "c"))
    assert drive.steps(4) == ["a", "a", "a+b", "a+b"], "a has made a whole pass by now, half of it in this phase"
    drive.epochs["b"] = 0.4
    assert drive.steps(2) == ["a+b", "c"], "b was slower"


def test_a_phase_ends_with_the_convergence_of_its_tasks() -> None:
    drive = Drive(ABC, ("a", "b", "c"))
    drive.converge("a")
    assert drive.steps(1) == ["a+b"], "nobody would learn in the first phase"
    drive.converge("b")
    assert drive.steps(1) == ["c"]
    assert drive.scheduler.ahead(drive.now) == ("c",)


def test_a_held_task_is_live_where_it_is_named() -> None:
    drive = Drive(phases(Phase(tasks=("a", "b"), steps=1), Phase(tasks=("b",), steps=1), Phase(tasks=("a", "b"))), "ab")
    drive.converge("a")
    assert drive.steps(3) == ["a+b", "b", "a+b"]


def test_a_dropped_task_is_live_nowhere() -> None:
    drive = Drive(ABC, ("a", "b", "c"))
    drive.converge("a", drop=True)
    assert drive.steps(3) == ["b", "b", "c"]


def test_nothing_is_ahead_when_the_last_phase_has_converged() -> None:
    drive = Drive(ABC, ("a", "b", "c"))
    drive.steps(5)
    assert drive.scheduler.ahead(drive.now) == ("c",)
    drive.converge("c", drop=True)
    assert drive.scheduler.ahead(drive.now) == ()


def test_all_phases_are_ahead_at_the_beginning() -> None:
    drive = Drive(ABC, ("a", "b", "c"))
    assert drive.scheduler.ahead(drive.now) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("schedule", "trace"),
    [
        (PretrainFinetune(primary="b", first_steps=2), ["a+c", "a+c", "b", "b"]),
        (PretrainFinetune(primary="b", first_epochs=0.75), ["a+c", "a+c", "a+c", "b"]),
        (PretrainFinetune(primary="b", first_steps=1, keep_auxiliaries=True), ["a+c", "a+b+c", "a+b+c", "a+b+c"]),
        (PrimaryFirst(primary="b", first_steps=1), ["b", "a+b+c", "a+b+c", "a+b+c"]),
        (PrimaryFirst(primary="b", first_epochs=0.5), ["b", "b", "a+b+c", "a+b+c"]),
    ],
)
def test_two_phases(schedule: Schedule, trace: list[str]) -> None:
    assert Drive(schedule, ("a", "b", "c")).steps(4) == trace


def test_fine_tuning_ends_with_the_primary_task() -> None:
    drive = Drive(PretrainFinetune(primary="b", first_steps=2), ("a", "b"))
    assert drive.scheduler.ahead(drive.now) == ("a", "b")
    drive.steps(2)
    assert drive.scheduler.ahead(drive.now) == ("b",)


@pytest.mark.parametrize("of", [PretrainFinetune, PrimaryFirst])
def test_the_primary_task_must_be_there(of: Any) -> None:
    (problem,) = of(primary="emotoin", first_steps=2).problems(["emotion", "topic"])
    assert str(problem) == "schedule.primary = emotoin\n    names no task. Did you mean `emotion`?"


def test_pretraining_needs_an_auxiliary_task() -> None:
    (problem,) = PretrainFinetune(primary="a", first_steps=2).problems(["a"])
    assert "needs a task besides" in str(problem)


def test_what_is_wrong_with_phases() -> None:
    with pytest.raises(RecipeError) as error:
        Phase(tasks=(), steps=0)
    assert [problem.name for problem in error.value.problems] == ["tasks", "steps"]
    with pytest.raises(RecipeError) as error:
        phases(Phase(tasks=("a",)), Phase(tasks=("b",), epochs=1.0, steps=None))
    assert [problem.name for problem in error.value.problems] == ["phases.0.steps", "phases.1.epochs"]


def test_what_does_not_fit_the_tasks() -> None:
    schedule = phases(Phase(tasks=("mood", "plcaes"), steps=1), Phase(tasks=("mood",)))
    assert [str(problem) for problem in schedule.problems(["mood", "places"])] == [
        "schedule.phases.0.tasks = plcaes\n    names no task. Did you mean `places`?",
        "schedule.phases\n    leave out `places`, which would never learn. Name it.",
    ]
