"""The sequential setting, its orders, and the tasks that may not be left out of them."""

from __future__ import annotations

import pytest
from tests.training.schedules.traces import Drive, facts

from motet.balancing.base import Facts
from motet.errors import Problem
from motet.training.schedules import Curriculum, LowToHigh, Schedule, Sequential, StateMachine

SIZES = {"a": Facts(examples=20), "b": Facts(examples=500), "c": Facts(examples=3), "d": Facts(examples=20)}


def test_a_trace_by_hand() -> None:
    drive = Drive(Sequential(order=("c", "a", "b")), ("a", "b", "c"))
    assert drive.steps(3) == ["c", "c", "c"]
    drive.converge("c")
    assert drive.steps(2) == ["a+c", "a+c"]
    drive.converge("a")
    assert drive.steps(1) == ["a+b+c"]
    drive.converge("b")
    assert drive.steps(1) == ["a+b+c"]


def test_dropped_tasks_leave_the_newest_alone() -> None:
    drive = Drive(Sequential(), ("a", "b", "c"))
    drive.converge("a", drop=True)
    assert drive.steps(1) == ["b"]
    drive.converge("b", drop=True)
    assert drive.steps(1) == ["c"]


def test_a_task_that_learns_again_sends_nobody_away() -> None:
    drive = Drive(Sequential(), ("a", "b", "c", "d"))
    drive.steps(1)
    drive.converge("a", "b")
    assert drive.steps(1) == ["a+b+c"]
    drive.settled.discard("a")
    assert drive.steps(1) == ["a+b+c"]
    drive.converge("c")
    assert drive.steps(1) == ["a+b+c"], "the next waits until all before it are held"
    drive.converge("a")
    assert drive.steps(1) == ["a+b+c+d"]


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("given", ("a", "b", "c", "d")),
        ("size_desc", ("b", "a", "d", "c")),
        ("size_asc", ("c", "a", "d", "b")),
    ],
)
def test_orders(order: str, found: tuple[str, ...]) -> None:
    resolved = Sequential(order=order).resolve(SIZES, seed=0)  # type: ignore[arg-type]
    assert resolved == Sequential(order=found)


def test_a_random_order_has_a_seed() -> None:
    def order(of_training: int, own: int | None = None) -> object:
        return Sequential(order="random", order_seed=own).resolve(SIZES, seed=of_training).order

    assert sorted(order(0)) == list(SIZES)  # type: ignore[call-overload]
    assert order(0) == order(0)
    assert len({order(seed) for seed in range(20)}) > 5
    assert {order(seed, own=3) for seed in range(20)} == {order(3)}


def test_pilots_are_left_to_the_run() -> None:
    schedule = Sequential(order="easy_first")
    assert schedule.resolve(SIZES, seed=0) is schedule


def test_it_waits_for_convergence() -> None:
    assert Sequential().waits_for("a")


@pytest.mark.parametrize("of", [Sequential, LowToHigh, Curriculum, StateMachine])
def test_an_order_names_every_task_once(of: type[Schedule]) -> None:
    schedule = of(order=("mood", "wihtin", "mood"))  # type: ignore[call-arg]
    assert list(schedule.problems(["mood", "within", "count"])) == [
        Problem("schedule.order", "names no task. Did you mean `within`?", "wihtin"),
        Problem(
            "schedule.order",
            "must name every task once",
            "mood, wihtin, mood",
            "Missing: within, count. Twice: mood.",
        ),
    ]
    assert not list(of(order=("count", "mood", "within")).problems(["mood", "within", "count"]))  # type: ignore[call-arg]


def test_soft_labels_are_refreshed_on_request() -> None:
    assert not Sequential().build(facts(), seed=0).refreshes
    assert Sequential(refresh_soft_labels=True).build(facts(), seed=0).refreshes
