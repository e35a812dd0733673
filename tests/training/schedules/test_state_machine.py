"""One task until it gets worse, then the next, more slowly."""

from __future__ import annotations

import pytest
from tests.training.schedules.traces import Drive

from motet.training.schedules import StateMachine


def heard(drive: Drive, a: float = 0.0, b: float = 0.0, c: float = 0.0) -> str:
    """Whose turn it is after a check."""
    drive.check({"a": a, "b": b, "c": c})
    return drive.steps(1)[0]


def test_a_trace_by_hand() -> None:
    drive = Drive(StateMachine(order=("b", "a", "c"), factor=0.5), ("a", "b", "c"))
    assert drive.steps(1) == ["b"]
    assert heard(drive, b=0.5) == "b"
    assert heard(drive, b=0.6) == "b"
    assert drive.scheduler.rate(drive.now) == 1.0
    assert heard(drive, b=0.5, a=0.3) == "a"
    assert drive.scheduler.rate(drive.now) == 0.5
    assert heard(drive, a=0.2) == "c", "the turn is measured from the check at which it began"
    assert heard(drive, c=0.1) == "c"
    assert heard(drive, c=0.0) == "b", "the ring is closed"
    assert drive.scheduler.rate(drive.now) == 0.125


def test_a_turn_may_have_patience() -> None:
    drive = Drive(StateMachine(worse_checks=2), ("a", "b", "c"))
    turns = [heard(drive, a=score) for score in (0.5, 0.4, 0.45, 0.4, 0.3)]
    assert turns == ["a", "a", "a", "a", "b"]


def test_the_rate_has_a_bottom() -> None:
    drive = Drive(StateMachine(factor=0.1, least=0.05), ("a", "b", "c"))
    for score in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4):
        heard(drive, score, score, score)
    assert drive.scheduler.rate(drive.now) == pytest.approx(0.05)


def test_a_held_task_has_no_turn_but_takes_part() -> None:
    drive = Drive(StateMachine(), ("a", "b", "c"))
    heard(drive, a=0.5)
    drive.converge("a")
    assert drive.steps(1) == ["a+b"]
    assert drive.scheduler.rate(drive.now) == 1.0, "it did not get worse"
    assert heard(drive, b=0.5) == "a+b"
    assert heard(drive, b=0.4) == "a+c"
    assert heard(drive, c=-1.0) == "a+b"
    drive.converge("b", drop=True)
    assert drive.steps(1) == ["a+c"]


def test_one_task_alone_is_slowed_down() -> None:
    drive = Drive(StateMachine(), ("a",))
    drive.check({"a": 0.5})
    drive.check({"a": 0.4})
    assert drive.steps(1) == ["a"]
    assert drive.scheduler.rate(drive.now) == 0.5
