from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import RecipeError
from motet.training.convergence import PRESETS, Check, Never, Patience, Tracker
from motet.training.responses import Drop

SCORES = st.lists(st.integers(0, 6).map(lambda score: score / 6), min_size=1, max_size=14)
RULES = st.builds(
    Patience,
    checks=st.integers(1, 4),
    epochs=st.sampled_from([0, 0.5, 1.5]),
    min_epochs=st.sampled_from([0, 1.0, 3.0]),
    min_delta=st.sampled_from([0, 0.2, "auto"]),
    smooth=st.integers(1, 4),
    beyond_constant=st.booleans(),
)
BASELINES = st.sampled_from([None, -1.0, 0.0, 0.25, 0.5])
SE = 0.4


def history(scores: list[float], pace: float = 0.5) -> list[Check]:
    return [Check(n, n, score, SE, n * pace, str(n)) for n, score in enumerate(scores)]


def tracker(rule: Patience | None, scores: list[float], pace: float = 0.5, baseline: float | None = None) -> Tracker:
    found = Tracker(rule, baseline)
    for check in history(scores, pace):
        found.observe(check)
    return found


def brute_force(
    rule: Patience,
    checks: list[Check],
    since: int = 0,
    opened: float = 0.0,
    floor: int = 0,
    baseline: float | None = None,
) -> tuple[int, bool]:
    """Peak and convergence, from the definition: everything is recomputed from the first check on."""
    means = [float(np.mean([c.score for c in checks[max(0, n - rule.smooth + 1) : n + 1]])) for n in range(len(checks))]
    delta = SE / 4 if rule.min_delta == "auto" else float(rule.min_delta)
    least = -np.inf if baseline is None or not rule.beyond_constant else baseline + SE
    beyond = [n for n in range(floor, len(checks)) if means[n] > least]
    progress = max(since, *beyond[:1], 0)
    for n in range(progress + 1, len(checks)):
        if means[n] > means[progress] + delta:
            progress = n
    last, peak = checks[-1], floor + int(np.argmax(means[floor:]))
    converged = (
        bool(beyond)
        and peak < len(checks) - 1
        and len(checks) - 1 - progress >= rule.checks
        and last.epochs - checks[progress].epochs >= rule.epochs
        and last.epochs - opened >= rule.min_epochs
    )
    return peak, converged


@given(RULES, SCORES, BASELINES)
def test_a_tracker_follows_its_definition(rule: Patience, scores: list[float], baseline: float | None) -> None:
    found = tracker(rule, scores, baseline=baseline)
    assert (found.best.step, found.converged) == brute_force(rule, history(scores), baseline=baseline)


@given(RULES, SCORES, BASELINES, st.data())
def test_a_reopened_tracker_counts_anew(
    rule: Patience, scores: list[float], baseline: float | None, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(scores) - 1))
    found = tracker(rule, scores[: at + 1], baseline=baseline)
    found.reopen()
    for check in history(scores)[at + 1 :]:
        found.observe(check)
    anew = brute_force(rule, history(scores), since=at, opened=at * 0.5, floor=at, baseline=baseline)
    assert found.converged == anew[1]


@given(RULES, SCORES, BASELINES, st.data())
def test_a_rewound_tracker_gives_full_patience(
    rule: Patience, scores: list[float], baseline: float | None, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(scores) - 1))
    found = tracker(rule, scores, baseline=baseline)
    found.rewind_to(at, floor=True, kept=set(map(str, range(len(scores)))))
    again = [Check(n + 50, n, score, SE, n * 0.5, f"again {n}") for n, score in enumerate(scores)]
    for check in again[at + 1 :]:
        found.observe(check)
    expected = brute_force(rule, again, since=at, floor=at, baseline=baseline)
    assert (found.best.logical, found.converged) == expected


@given(RULES, SCORES)
def test_the_state_of_a_tracker_is_all_of_it(rule: Patience, scores: list[float]) -> None:
    found = tracker(rule, scores)
    found.rewind_to(len(scores) // 2, floor=True, kept={"0"} | {str(n) for n in range(len(scores))})
    found.reopen()
    restored = Tracker(rule)
    restored.restore(json.loads(json.dumps(found.state())))
    assert restored == found


def test_patience_is_counted_in_checks_and_in_epochs() -> None:
    flat = [0.5] + [0.4] * 9
    by_checks = Patience(checks=3, epochs=0, min_epochs=0, min_delta=0, smooth=1)
    by_epochs = Patience(checks=1, epochs=2, min_epochs=0, min_delta=0, smooth=1)
    late = Patience(checks=1, epochs=0, min_epochs=2.5, min_delta=0, smooth=1)
    first = [
        next(n for n in range(10) if tracker(rule, flat[: n + 1]).converged) for rule in (by_checks, by_epochs, late)
    ]
    assert first == [3, 4, 5]


def test_a_task_that_has_not_begun_to_learn_does_not_converge() -> None:
    """The score of a constant answer, for as long as one likes; then better, and only from there on impatient."""
    rule = Patience(checks=3, epochs=0, min_epochs=0, min_delta=0, smooth=1)
    stuck, learnt = [0.3] * 20, [0.8, 0.7, 0.7, 0.7]
    assert tracker(rule, stuck).converged
    assert not tracker(rule, stuck, baseline=0.3).converged
    assert not tracker(rule, [*stuck, 0.3 + SE], baseline=0.3).begun
    found = [tracker(rule, stuck + learnt[:n], baseline=0.3) for n in range(5)]
    assert [f.begun.step if f.begun else None for f in found] == [None, 20, 20, 20, 20]
    assert [f.converged for f in found] == [False, False, False, False, True]


@pytest.mark.parametrize("se", [float("nan"), 0.0])
def test_without_a_standard_error_any_score_above_the_constant_answer_counts(se: float) -> None:
    found = Tracker(Patience(smooth=1), baseline=0.5)
    found.observe(Check(0, 0, 0.5, se, 1.0, "0"))
    assert found.begun is None
    found.observe(Check(1, 1, 0.51, se, 2.0, "1"))
    assert found.begun is found.checks[1]


def test_smoothing_passes_over_a_lucky_check() -> None:
    scores = [0.1, 0.2, 0.9, 0.2, 0.5, 0.6, 0.6]
    assert tracker(Patience(smooth=1), scores).best.step == 2
    assert tracker(Patience(smooth=3), scores).best.step == 6
    assert tracker(Patience(smooth=3), scores).peak == pytest.approx(1.7 / 3)


def test_no_rule_no_convergence_but_a_peak() -> None:
    found = tracker(Never().of("a"), [0.1, 0.7, 0.2] + [0.1] * 50)
    assert not found.converged
    assert (found.best.step, found.peak) == (1, 0.7)
    assert not Tracker(Patience()).converged


def test_the_best_checks_in_their_order() -> None:
    found = tracker(Patience(smooth=1), [0.1, 0.7, 0.2, 0.7, 0.5])
    assert [check.step for check in found.bests(3)] == [1, 3, 4]
    assert found.bests(1) == [found.best]
    assert len(found.bests(9)) == 5
    found.rewind_to(3, floor=True, kept={"3"})
    assert [check.step for check in found.bests(3)] == [3]


@pytest.mark.parametrize(("se", "delta", "fall"), [(0.4, 0.1, 0.8), (float("nan"), 0, 0), (float("inf"), 0, 0)])
def test_what_counts_as_progress_and_as_a_fall(se: float, delta: float, fall: float) -> None:
    assert Patience().delta(se) == pytest.approx(delta)
    assert Patience().fall(se) == pytest.approx(fall)
    assert Patience(min_delta=0.03).delta(se) == 0.03
    assert Patience(tolerance=0.07).fall(se) == 0.07


def test_single_tasks_may_have_rules_of_their_own() -> None:
    rule = Patience(checks=2, smooth=1, tasks={"a": {"checks": 7, "then": Drop()}})
    assert rule.of("a") == Patience(checks=7, smooth=1, then=Drop())
    assert rule.of("b") == Patience(checks=2, smooth=1)


def test_every_problem_of_a_rule_at_once() -> None:
    wrong: dict[str, Any] = {"checks": 0, "smooth": 0, "epochs": -1, "min_epochs": -1, "reopen": -1}
    with pytest.raises(RecipeError) as caught:
        Patience(**wrong, min_delta=-0.1, tolerance=float("nan"))
    assert {problem.name for problem in caught.value.problems} == {*wrong, "min_delta", "tolerance"}
    with pytest.raises(RecipeError) as caught:
        Patience(tasks={"a": {"chekcs": 1, "rewind": "full", "smooth": 0}})
    alone = {"tasks.a.chekcs", "tasks.a.rewind", "tasks.a.smooth"}
    assert {problem.name for problem in caught.value.problems} == alone
    assert "Did you mean `checks`?" in str(caught.value)


def test_rules_must_fit_the_tasks() -> None:
    rule = Patience(monitor="f1", tasks={"moods": {}, "tags": {"monitor": "span_f1"}})
    problems = list(rule.problems({"mood": ["accuracy"], "tags": ["span_f1"]}))
    assert [problem.name for problem in problems] == ["convergence.tasks.moods", "convergence.monitor of mood"]
    assert "`mood`" in problems[0].rule
    assert list(Never().problems({"mood": ["accuracy"]})) == []


def test_the_literal_form_of_the_source() -> None:
    paper = PRESETS["paper"]
    assert tracker(paper, [0.5, 0.6, 0.6, 0.5], pace=1e-6).converged is False
    assert tracker(paper, [0.5, 0.6, 0.6, 0.5, 0.6], pace=1e-6).converged is True
    assert paper.rewind == "full"
