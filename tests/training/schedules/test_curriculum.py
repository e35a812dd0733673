"""Tasks that join when those before them are good enough."""

from __future__ import annotations

from tests.training.schedules.traces import Drive

from motet.errors import Problem
from motet.training.schedules import Curriculum

LOW = {"a": 0.0, "b": 0.0, "c": 0.0}


def test_a_trace_by_hand() -> None:
    drive = Drive(Curriculum(order=("c", "a", "b"), scores={"c": 0.8, "a": 0.5}), ("a", "b", "c"))
    assert drive.steps(1) == ["c"]
    drive.check({**LOW, "c": 0.79, "a": 0.9})
    assert drive.steps(1) == ["c"]
    drive.check({**LOW, "c": 0.8, "a": 0.4})
    assert drive.steps(1) == ["a+c"], "a was good before its turn; that does not count"
    drive.check({**LOW, "a": 0.5})
    assert drive.steps(1) == ["a+b+c"], "what was reached once counts for good"


def test_a_share_of_a_score_is_enough() -> None:
    drive = Drive(Curriculum(scores={"a": 0.8}, share=0.5), ("a", "b"))
    drive.check({"a": 0.39, "b": 0.0})
    assert drive.steps(1) == ["a"]
    drive.check({"a": 0.4, "b": 0.0})
    assert drive.steps(1) == ["a+b"]


def test_scores_that_should_be_low() -> None:
    drive = Drive(Curriculum(scores={"count": 2.0}, share=0.5), ("count", "b"))
    drive.check({"count": -4.1, "b": 0.0})
    assert drive.steps(1) == ["count"]
    drive.check({"count": -4.0, "b": 0.0})
    assert drive.steps(1) == ["count+b"]


def test_convergence_and_passes_stand_for_a_score() -> None:
    drive = Drive(Curriculum(scores={"b": 0.9}, wait_epochs=0.5), ("a", "b", "c"))
    assert drive.steps(3) == ["a", "a", "a+b"]
    drive.converge("b")
    assert drive.steps(1) == ["a+b+c"]


def test_nobody_is_waited_for_in_vain() -> None:
    assert Curriculum(scores={"a": 0.9}).waits_for("b")
    assert not Curriculum(scores={"a": 0.9}).waits_for("a")
    assert not Curriculum(wait_epochs=2.0).waits_for("b")


def test_names_in_scores() -> None:
    (problem,) = Curriculum(scores={"mod": 0.9}).problems(["mood", "places"])
    assert problem == Problem("schedule.scores", "names no task. Did you mean `mood`?", "mod")
