"""What holds for every schedule, whatever happens to the tasks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training.schedules.traces import EVERY, NAMES, Drive

from motet import registry
from motet.errors import RecipeError
from motet.registry import describe

HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(1, 5)),
        st.tuples(st.just("check"), st.tuples(*[st.floats(-1, 1)] * len(NAMES))),
        st.tuples(st.sampled_from(["converge", "drop", "reopen"]), st.sampled_from(NAMES)),
    ),
    max_size=12,
)


def happen(drive: Drive, happening: tuple[str, Any]) -> list[str]:
    """Let something happen; what steps were taken from."""
    what, of = happening
    learning = any(task not in drive.settled for task in drive.scheduler.ahead(drive.now))
    if what == "step" and learning:  # else the run is over
        return drive.steps(of)
    if what == "check":
        drive.check(dict(zip(NAMES, of, strict=True)))
    elif what in ("converge", "drop"):
        drive.converge(of, drop=what == "drop")
    elif what == "reopen":
        drive.settled.discard(of)
        drive.dropped.discard(of)
    return []


def test_all_that_are_registered_are_tested() -> None:
    assert set(EVERY) == set(registry.names("schedule"))


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=25)
@given(happenings=HAPPENINGS)
def test_there_is_always_somebody_to_learn_from(name: str, happenings: list[tuple[str, Any]]) -> None:
    drive = Drive(EVERY[name])
    for happening in happenings:
        learning = set(drive.scheduler.ahead(drive.now)) - drive.settled
        live = drive.scheduler.live(drive.now)
        assert len(set(live)) == len(live)
        assert set(live) <= set(drive.now.tasks)
        assert set(live) <= set(drive.scheduler.ahead(drive.now))
        assert live or not learning
        assert 0 < drive.scheduler.rate(drive.now) <= 1
        happen(drive, happening)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=25)
@given(happenings=HAPPENINGS, later=HAPPENINGS)
def test_what_is_saved_is_enough_to_go_on(
    name: str, happenings: list[tuple[str, Any]], later: list[tuple[str, Any]]
) -> None:
    drive = Drive(EVERY[name])
    for happening in happenings:
        happen(drive, happening)
    saved, settled, dropped = drive.saved(), set(drive.settled), set(drive.dropped)
    first = [(happen(drive, one), drive.scheduler.rate(drive.now)) for one in later]
    drive.restore(saved)
    drive.settled, drive.dropped = settled, dropped
    assert [(happen(drive, one), drive.scheduler.rate(drive.now)) for one in later] == first


@pytest.mark.parametrize("name", EVERY)
def test_asking_changes_nothing(name: str) -> None:
    asked, left_alone = Drive(EVERY[name]), Drive(EVERY[name])
    for _ in range(8):
        for _ in range(3):
            asked.scheduler.live(asked.now), asked.scheduler.ahead(asked.now), asked.scheduler.rate(asked.now)
        assert asked.steps(1) == left_alone.steps(1)
    assert asked.saved() == left_alone.saved()


@pytest.mark.parametrize("name", EVERY)
def test_it_is_a_part_of_a_recipe(name: str) -> None:
    spelled = describe(EVERY[name])
    assert spelled["type"] == name
    assert not list(EVERY[name].problems(NAMES))
    assert EVERY[name].resolve({}, seed=0) == EVERY[name]


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("sequential", {"pilot_steps": 0}, ["pilot_steps"]),
        ("sequential", {"pilot_steps": 0, "order_seed": -1}, ["pilot_steps", "order_seed"]),
        ("low_to_high", {"rate_decay": -0.1}, ["rate_decay"]),
        ("pretrain_finetune", {"primary": "a"}, ["first_steps"]),
        (
            "pretrain_finetune",
            {"primary": "a", "first_steps": 0, "first_epochs": 0.0},
            ["first_steps"] + ["first_epochs"] * 2,
        ),
        ("primary_first", {"primary": "a"}, ["first_steps"]),
        ("primary_first", {"primary": "a", "first_steps": 3, "first_epochs": 1.0}, ["first_epochs"]),
        ("curriculum", {"share": 0.0, "wait_epochs": 0.0}, ["share", "wait_epochs"]),
        ("worst_first", {"references": {"a": 0.0}}, ["references.a"]),
        ("state_machine", {"worse_checks": 0, "factor": 0.0, "least": 2.0}, ["worse_checks", "factor", "least"]),
        ("phases", {"phases": ()}, ["phases"]),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any], wrong: list[str]) -> None:
    with pytest.raises(RecipeError) as error:
        registry.find("schedule", name)(**options)
    assert [problem.name for problem in error.value.problems] == wrong
