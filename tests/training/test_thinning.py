"""Held tasks that leave a part of their rows to those that still learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.training.test_acceptance import EAGER, events_of

from motet.errors import RecipeError
from motet.sampling.uniform import Uniform
from motet.training.plan import prepare
from motet.training.responses import Distill

EVERY = ("mood", "count", "within", "places")  # the first two read the same rows
STEPS = 40


def rows_of(toys: Any, thinned: dict[str, float], live: tuple[str, ...] = EVERY) -> dict[str, float]:
    """Rows of every task in a step, on average."""
    feed = prepare(toys.experiment(sampler=Uniform())).feed
    for _ in range(STEPS):
        feed.next(live, None, thinned)
    return {task: drawn / STEPS for task, drawn in feed.drawn.items()}


def test_what_a_held_task_leaves_goes_to_the_others_in_their_proportions(toys: Any) -> None:
    full, thin = rows_of(toys, {}), rows_of(toys, {"places": 0.25})
    assert thin["places"] == pytest.approx(0.25 * full["places"], abs=0.05)
    assert thin["within"] / thin["mood"] == pytest.approx(full["within"] / full["mood"], rel=0.03)
    streams = ("mood", "within", "places")
    assert sum(thin[task] for task in streams) == pytest.approx(sum(full[task] for task in streams), rel=0.05)


def test_rows_that_a_learning_task_reads_too_are_drawn_in_full(toys: Any) -> None:
    assert rows_of(toys, {"mood": 0.1}) == rows_of(toys, {})


def test_nothing_is_left_where_nobody_learns(toys: Any) -> None:
    assert rows_of(toys, dict.fromkeys(EVERY, 0.5)) == rows_of(toys, {})


def test_a_task_that_takes_no_part_gets_nothing(toys: Any) -> None:
    rows = rows_of(toys, {"places": 0.5}, ("within", "places"))
    assert rows["mood"] == rows["count"] == 0
    assert rows["places"] < rows["within"]


def test_a_run_thins_from_the_switch_on_and_goes_on_exactly(dropout_toys: Any) -> None:
    rule = replace(EAGER, then=Distill(share=0.2), tasks={"count": {"checks": 99}, "mood": {"checks": 99}})
    experiment = dropout_toys.experiment(rule, sampler=Uniform(), steps=20, check_every=2)
    whole, cut = dropout_toys.start(experiment), dropout_toys.goes_on(experiment, "step", 15)
    assert [event["rows"] for event in events_of(cut, "step")] == [event["rows"] for event in events_of(whole, "step")]
    switched = {event["task"]: event["step"] for event in events_of(whole, "converged")}
    task, step = min(switched.items(), key=lambda found: found[1])
    rows = [event["rows"].get(task, 0) for event in events_of(whole, "step")]
    assert sum(rows[step:]) / len(rows[step:]) < 0.5 * sum(rows[:step]) / step


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_is_a_part(share: float) -> None:
    with pytest.raises(RecipeError, match="share"):
        Distill(share=share)
