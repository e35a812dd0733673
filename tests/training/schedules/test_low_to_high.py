"""Inside every epoch one task after the other."""

from __future__ import annotations

import pytest
from tests.training.schedules.traces import Drive

from motet.training.schedules import LowToHigh


def test_a_trace_by_hand() -> None:
    drive = Drive(LowToHigh(order=("b", "a")), ("a", "b"))
    assert drive.steps(17) == ["b"] * 4 + ["a"] * 4 + ["b"] * 4 + ["a"] * 4 + ["b"]


def test_a_step_that_takes_rows_of_the_next_epoch_too() -> None:
    drive = Drive(LowToHigh(), ("a", "b"))
    drive.epochs = {"a": 1.1, "b": 0.9}
    assert drive.steps(1) == ["b"]
    assert drive.steps(4) == ["a", "a", "a", "a"]


def test_held_tasks_keep_their_turn_and_dropped_ones_lose_it() -> None:
    drive = Drive(LowToHigh(), ("a", "b", "c"))
    drive.converge("a")
    drive.converge("b", drop=True)
    assert drive.steps(9) == ["a"] * 4 + ["c"] * 4 + ["a"]


def test_the_rate_falls_from_epoch_to_epoch() -> None:
    drive = Drive(LowToHigh(rate_decay=0.3), ("a", "b"))
    rates = []
    for _ in range(3):
        rates.append(drive.scheduler.rate(drive.now))
        drive.steps(8)
    assert rates == pytest.approx([1.0, 1 / 1.3, 1 / 1.6])
