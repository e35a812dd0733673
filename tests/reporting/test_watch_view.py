"""What the page says: whether a run goes on, how shares, weights, speed and angles develop."""

from __future__ import annotations

from typing import Any

import pytest
from tests.reporting.live import balanced_run
from tests.reporting.synthetic import VOICES, believable_run

from motet.reporting.watch_figures import hue, lines_figure
from motet.reporting.watch_page import tint
from motet.reporting.watch_series import PLACES, dynamics
from motet.reporting.watch_view import View, state_of
from motet.runs import Event

NAMES = [voice.name for voice in VOICES]


def at(moment: float, event: str = "step", **values: Any) -> Event:
    return {"event": event, "time": moment, **values}


def every(seconds: float, count: int = 50) -> list[Event]:
    return [at(1000 + number * seconds, step=number) for number in range(count)]


@pytest.mark.parametrize(
    ("events", "later", "kind"),
    [
        (every(5), 10, "running"),
        (every(5), 119, "running"),
        (every(5), 121, "quiet"),
        (every(100), 300, "running"),  # checks of this run take that long
        (every(100), 401, "quiet"),
        (every(5), -50, "running"),  # the clock of another machine
        ([*every(5), at(1300, "end", step=50, reason="steps")], 99999, "ended"),
        ([*every(5), at(1300, "end", step=50), at(9000, "evaluation")], 99999, "ended"),
        ([*every(5), at(1300, "interrupted", step=50)], 99999, "interrupted"),
        ([*every(5), at(1300, "interrupted", step=50), at(9000, "resumed", events=50)], 10, "running"),
        ([at(1000, "plan")], 10, "running"),
        ([{"event": "step", "step": 1}], 10, "quiet"),  # nobody says when
    ],
)
def test_whether_a_run_goes_on(events: list[Event], later: float, kind: str) -> None:
    assert state_of(events, begun=True, now=events[-1].get("time", 1e9) + later).kind == kind


def test_a_pause_before_a_run_was_resumed_is_no_habit_of_it() -> None:
    events = [*every(5, 10), at(90_000, "resumed", events=10), at(90_005)]
    assert state_of(events, begun=True, now=90_200).kind == "quiet"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(130, "2 min"), (3700, "1 h 01 min"), (49 * 3600, "2 days")],
)
def test_silence_is_told_roughly(seconds: float, words: str) -> None:
    found = state_of([at(1000.0)], begun=True, now=1000 + seconds)
    assert found.words == f"nothing has been written for {words}"


def test_what_there_is_before_the_first_event() -> None:
    assert state_of([], begun=False).words == "not begun yet"
    assert state_of([], begun=True).words == "being prepared"


def test_endings_are_told() -> None:
    state = state_of([at(1, "end", step=1200, reason="all converged")], begun=True)
    assert (state.words, state.detail) == ("ended at step 1,200", "every task has converged")


def test_dynamics_of_a_long_run_are_thinned() -> None:
    found = dynamics(balanced_run())
    assert list(found.weights) == list(found.shares) == NAMES
    assert len(found.speed) == len(found.weights["rating"]) == PLACES
    assert found.speed[-1].step == 3000
    assert all(0 <= node.value <= 1 for nodes in found.shares.values() for node in nodes)
    for column in zip(*found.shares.values(), strict=True):
        assert sum(node.value for node in column) == pytest.approx(1)


def test_dynamics_add_up_what_they_put_together() -> None:
    steps = [
        at(1, step=10, rows={"a": 30, "b": 10}, tokens=600, seconds=2.0, weights={"a": 0.5}),
        at(2, step=20, rows={"a": 10}, tokens=300, seconds=1.0, weights={"a": None, "b": 2.0}),
    ]
    found = dynamics(steps)
    assert [node.value for node in found.speed] == [300.0, 300.0]
    assert [node.value for node in found.shares["a"]] == [0.75, 1.0]
    assert {name: [node.step for node in nodes] for name, nodes in found.weights.items()} == {"a": [10], "b": [20]}


def test_a_run_without_balance_has_no_weights_and_no_angles() -> None:
    found = dynamics(believable_run())
    assert found.weights == {}
    assert found.angles is None
    assert found.shares


def test_angles_are_those_of_the_last_step_that_has_any() -> None:
    conflict = {"names": ["a", "b"], "norms": [1, 1], "cosines": [[1.0, -0.5], [-0.5, 1.0000001]]}
    found = dynamics([at(1, step=10, conflict=conflict), at(2, step=20, conflict=None)]).angles
    assert found is not None
    assert (found.step, found.names) == (10, ("a", "b"))
    assert found.degrees[0] == pytest.approx((0.0, 120.0))
    assert found.degrees[1] == pytest.approx((120.0, 0.0))


@pytest.mark.parametrize(
    "conflict", [{}, {"names": ["a"], "cosines": []}, {"names": ["a"], "cosines": [[1, 2]]}, {"names": 3}, "words"]
)
def test_angles_that_make_no_sense_are_left_out(conflict: Any) -> None:
    assert dynamics([at(1, step=1, conflict=conflict)]).angles is None


def test_an_angle_to_a_gradient_that_is_zero_is_unknown() -> None:
    found = dynamics([at(1, step=1, conflict={"names": ["a"], "cosines": [[None]]})]).angles
    assert found is not None
    assert found.degrees == ((None,),)


@pytest.mark.parametrize(("degrees", "name"), [(0, "with-5"), (180, "against-5"), (90, "near"), (110, "against-1")])
def test_tints_tell_the_side(degrees: float, name: str) -> None:
    assert tint(degrees) == name


def test_more_lines_than_colours_are_told_apart() -> None:
    assert len({hue(number) for number in range(16)}) == 16


def test_a_figure_says_where_its_lines_end() -> None:
    lines = dynamics(balanced_run()).weights
    drawn = lines_figure(lines, "Weights", "weights", lambda value: f"{value:.1f}", low=0.0)
    assert drawn.count('class="line v') == 5
    assert "duplicates stands at" in drawn
    assert not lines_figure({"a": []}, "Weights", "weights", str)


def test_what_happened_comes_last_first_and_is_bounded() -> None:
    events = [at(number, "resumed", step=number, events=number) for number in range(100)]
    happened = View("run", "run", events, state_of(events, True), "").happenings
    assert len(happened) == 30
    assert happened[0].words == "resumed at step 99"
    assert happened[0].moment == "01 Jan, 00:01:39 UTC"
