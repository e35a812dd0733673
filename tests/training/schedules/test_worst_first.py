"""The task that is furthest behind."""

from __future__ import annotations

import math

from tests.training.schedules.traces import Drive

from motet.training.schedules import WorstFirst


def test_a_trace_by_hand() -> None:
    drive = Drive(WorstFirst(references={"a": 0.9, "b": 0.6}), ("a", "b"))
    assert drive.steps(2) == ["a+b", "a+b"], "nothing is known before the first check"
    drive.check({"a": 0.6, "b": 0.5})  # 0.67 and 0.83
    assert drive.steps(2) == ["a", "a"]
    drive.check({"a": 0.8, "b": 0.5})  # 0.89 and 0.83
    assert drive.steps(1) == ["b"]


def test_without_references_the_one_that_lost_most() -> None:
    drive = Drive(WorstFirst(), ("a", "b"))
    drive.check({"a": 0.5, "b": 0.8})
    drive.check({"a": 0.5, "b": 0.7})
    assert drive.steps(1) == ["b"]
    drive.check({"a": 0.4, "b": 0.7})
    assert drive.steps(1) == ["a"]


def test_scores_that_should_be_low() -> None:
    drive = Drive(WorstFirst(references={"count": 1.0, "b": 0.5}), ("count", "b"))
    drive.check({"count": -3.0, "b": 0.1})  # -1 and 0.2
    assert drive.steps(1) == ["count"]
    drive.check({"count": -1.1, "b": 0.1})  # 0.9 and 0.2
    assert drive.steps(1) == ["b"]


def test_equals_take_turns() -> None:
    drive = Drive(WorstFirst(), ("a", "b"))
    drive.check({"a": 0.5, "b": 0.5})
    assert drive.steps(4) == ["a", "b", "a", "b"]


def test_held_tasks_stay_and_are_never_the_worst() -> None:
    drive = Drive(WorstFirst(references={"a": 1.0}), ("a", "b", "c"))
    drive.check({"a": 0.1, "b": 0.5, "c": 0.5})
    drive.check({"a": 0.1, "b": 0.4, "c": 0.5})
    drive.converge("a")
    assert drive.steps(1) == ["a+b"]
    drive.converge("b", drop=True)
    assert drive.steps(1) == ["a+c"]


def test_a_score_that_never_was_finite_is_the_worst() -> None:
    drive = Drive(WorstFirst(), ("a", "b"))
    drive.check({"a": 0.1, "b": math.nan})
    assert drive.steps(2) == ["b", "b"]
