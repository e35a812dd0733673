"""Events become the view they describe: above all, exactly the right steps are discarded."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.reporting.synthetic import STEPS, VOICES, believable_run

from motet.reporting.history import read
from motet.reporting.plain import Score
from motet.reporting.record import History, Peak
from motet.runs import Event


def check(step: int, logical: int, **scores: float) -> Event:
    return {"event": "check", "step": step, "logical": logical, "headline": scores, "smoothed": scores}


def step(at: int, logical: int, **losses: float) -> Event:
    return {"event": "step", "step": at, "logical": logical, "losses": losses, "seconds": 1.0}


def converged(at: int, logical: int, task: str, best_logical: int, rewind: str = "full", number: int = 1) -> Event:
    return {
        "event": "converged",
        "step": at,
        "logical": logical,
        "task": task,
        "best_step": at - logical + best_logical,
        "best_logical": best_logical,
        "peak": 0.9,
        "score": 0.91,
        "own_epochs": 2.0,
        "then": "distill",
        "rewind": rewind,
        "discarded": logical - best_logical if rewind != "none" else 0,
        "event_id": number,
    }


def discards(history: History, task: str) -> dict[int, int]:
    return {check.step: check.discarded for check in history.tasks[task].checks}


def test_a_rewind_discards_what_lies_after_the_peak_for_every_task() -> None:
    events = [event for at in (10, 20, 30, 40) for event in (step(at, at, a=1.0), check(at, at, a=0.1, b=0.2))]
    history = read([*events, converged(40, 40, "a", 20), step(50, 30, a=0.5), check(50, 30, a=0.1, b=0.2)])
    assert discards(history, "a") == discards(history, "b") == {10: 0, 20: 0, 30: 1, 40: 1, 50: 0}
    assert [loss.discarded for loss in history.tasks["a"].losses] == [0, 0, 1, 1, 0]
    assert [work.discarded for work in history.work] == [0, 0, 1, 1, 0]
    assert (history.step, history.logical) == (50, 30)


def test_a_deeper_rewind_leaves_the_first_number_on_what_was_gone_already() -> None:
    events = [check(at, at, a=0.1) for at in (10, 20, 30)]
    events += [converged(30, 30, "a", 20), check(40, 30, a=0.1), converged(40, 30, "b", 10, number=2)]
    assert discards(read(events), "a") == {10: 0, 20: 2, 30: 1, 40: 2}


def test_without_rewind_nothing_is_discarded() -> None:
    history = read([check(10, 10, a=0.1), check(20, 20, a=0.1), converged(20, 20, "a", 10, rewind="none")])
    assert discards(history, "a") == {10: 0, 20: 0}
    assert not history.rewinds
    assert history.logical == 20


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 30)), min_size=1, max_size=8))
def test_the_surviving_checks_are_one_unbroken_trajectory(legs: list[tuple[int, int]]) -> None:
    events: list[Event] = []
    physical = logical = 0
    for number, (checks, back) in enumerate(legs, 1):
        for _ in range(checks):
            physical, logical = physical + 10, logical + 10
            events.append(check(physical, logical, a=0.1))
        events.append(converged(physical, logical, "b", max(0, logical - back // 10 * 10), number=number))
        logical = max(0, logical - back // 10 * 10)
    history = read(events)
    survivors = [found.logical for found in history.tasks["a"].checks if not found.discarded]
    assert survivors == list(range(10, logical + 1, 10))
    assert history.logical == logical


def test_checks_after_the_switch_are_marked_until_the_task_is_reopened() -> None:
    reopened = {"event": "reopened", "step": 30, "logical": 30, "task": "a", "reason": "fell"}
    events = [check(10, 10, a=0.1), converged(10, 10, "a", 10), check(20, 20, a=0.1), check(30, 30, a=0.1)]
    history = read([*events, reopened, check(40, 40, a=0.1)])
    task = history.tasks["a"]
    assert [found.after_switch for found in task.checks] == [False, True, True, False]
    assert (task.state, task.switch, len(task.switches)) == ("learning", None, 1)


def test_the_peak_has_the_error_of_the_check_at_which_it_was() -> None:
    scored = {"event": "check", "step": 10, "scores": {"a": {"f1": {"value": 0.7, "se": 0.02}}}, "headline": {"a": 0.7}}
    best = {"event": "check", "step": 20, "best": {"a": {"value": 0.68, "score": 0.7, "step": 10}}}
    assert read([scored, best]).tasks["a"].peak == Peak(10, 0.68, Score(0.7, 0.02))


def test_a_peak_that_is_missing_does_not_erase_one_that_is_known() -> None:
    best = {"a": {"value": 0.68, "score": 0.7, "step": 10}}
    nothing = {"a": {"value": math.nan, "score": None, "step": 20}}
    events = [{"event": "check", "step": 10, "best": best}, {"event": "check", "step": 20, "best": nothing}]
    peak = read(events).tasks["a"].peak
    assert peak is not None
    assert peak.step == 10


def test_a_running_mean_that_is_missing_is_the_score() -> None:
    event = {"event": "check", "step": 10, "headline": {"a": 0.5}, "smoothed": {"a": None}}
    assert read([event]).tasks["a"].checks[0].mean == 0.5


def test_losses_that_are_off_or_not_finite_are_left_out() -> None:
    event = {"event": "step", "step": 1, "losses": {"a": 1.0, "b": 2.0, "c": math.nan}, "kinds": {"b": "off"}}
    tasks = read([event]).tasks
    assert [(name, [loss.kind for loss in task.losses]) for name, task in tasks.items()] == [("a", ["truth"])]


def test_the_same_warning_is_counted_not_repeated() -> None:
    warning = {"event": "warning", "step": 5, "code": "held-task-fell", "task": "a", "message": "by 0.1"}
    history = read([warning, {**warning, "step": 9}, {**warning, "task": "b"}])
    assert [(found.task, found.step, found.times) for found in history.cautions] == [("a", 5, 2), ("b", 5, 1)]


def test_resumed_runs_are_not_interrupted_any_more() -> None:
    assert read([{"event": "interrupted", "step": 5}]).ended == "interrupted"
    history = read([{"event": "interrupted", "step": 5}, {"event": "resumed", "step": 4, "events": 3}])
    assert (history.ended, history.resumes) == ("", [4])


def test_events_of_a_later_version_are_passed_over() -> None:
    assert read([{"event": "fanfare", "step": 3}]).step == 3


def test_a_believable_run_is_read_whole() -> None:
    history = read(believable_run())
    assert list(history.tasks) == [voice.name for voice in VOICES]
    assert [len(task.checks) for task in history.tasks.values()] == [50] * 5
    assert [switch.rewound for switch in history.switches] == [True, True, False, False]
    assert history.tasks["duplicates"].state == "capped"
    assert history.steps == history.step == STEPS
    assert history.step - history.logical == sum(switch.discarded for switch in history.switches)
    assert history.occasions == {"evaluation": 50, "recording": 4, "checkpoints": 10}


def test_physical_steps_rise_whatever_is_rewound() -> None:
    for task in read(believable_run(seed=1)).tasks.values():
        assert all(one.step < other.step for one, other in pairwise(task.checks))
