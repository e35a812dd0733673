"""The primary task, and one of the others that is drawn."""

from __future__ import annotations

from collections import Counter

from tests.training.schedules.traces import Drive

from motet.errors import Problem
from motet.training.schedules import PrimaryAuxiliary

NAMES = ("a", "b", "c", "d")


def drive(seed: int = 0) -> Drive:
    return Drive(PrimaryAuxiliary(primary="b"), NAMES, seed=seed)


def test_the_primary_task_and_one_other_in_every_step() -> None:
    counts = Counter(drive().steps(3000))
    assert set(counts) == {"a+b", "b+c", "b+d"}
    assert all(abs(count - 1000) < 100 for count in counts.values()), "about four standard errors"


def test_draws_have_a_seed() -> None:
    assert drive().steps(20) == drive().steps(20)
    assert drive().steps(20) != drive(seed=1).steps(20)


def test_held_tasks_keep_their_chance_and_dropped_ones_lose_it() -> None:
    held = drive()
    held.converge("a", "b")
    assert set(held.steps(50)) == {"a+b", "b+c", "b+d"}
    dropped = drive()
    dropped.converge("a", drop=True)
    assert set(dropped.steps(50)) == {"b+c", "b+d"}


def test_what_is_left_goes_on() -> None:
    without_primary, alone = drive(), drive()
    without_primary.converge("b", drop=True)
    assert set(without_primary.steps(50)) == {"a", "c", "d"}
    alone.converge("a", "c", "d", drop=True)
    assert alone.steps(2) == ["b", "b"]


def test_the_primary_task_must_be_there() -> None:
    (problem,) = PrimaryAuxiliary(primary="bb").problems(["aa", "b1b"])
    assert problem == Problem("schedule.primary", "names no task. Did you mean `b1b`?", "bb")
