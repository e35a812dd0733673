"""The numbers and sentences that sum a run up."""

from __future__ import annotations

from typing import Any

import pytest
from tests.reporting.synthetic import believable_run, plan

from motet.reporting import costs, outcome
from motet.reporting.history import read
from motet.reporting.record import History
from motet.runs import Event


def ended(*tasks: dict[str, Any], chosen: str = "last") -> list[Event]:
    """A run whose tasks have a peak, a final score and an error."""
    planned = [{"name": t["name"], "metric": "m", "higher_is_better": t.get("higher", True)} for t in tasks]
    best = {t["name"]: {"value": t["peak"], "score": t["peak"], "step": 50} for t in tasks}
    final = {t["name"]: {"m": {"value": t["final"], "se": t.get("se", 0.01)}} for t in tasks}
    wrong = {t["name"]: {"m": {"value": -1.0, "se": 0.01}} for t in tasks}
    candidates = {name: {"step": 100, "scores": final if name == chosen else wrong} for name in ("last", "best_mean")}
    return [
        {"event": "plan", "steps": 100, "tasks": planned},
        {"event": "check", "step": 50, "logical": 50, "best": best},
        {"event": "candidates", **candidates, "chosen": chosen},
        {"event": "end", "step": 100, "reason": "steps"},
    ]


@pytest.mark.parametrize("chosen", ["last", "best_mean"])
def test_the_drop_is_the_peak_less_the_score_of_the_chosen_model(chosen: str) -> None:
    (row,) = outcome.outcomes(read(ended({"name": "a", "peak": 0.8, "final": 0.75}, chosen=chosen)))
    assert row.drop == pytest.approx(0.05)
    assert row.drop_in_errors == pytest.approx(5)
    assert row.beyond_noise


def test_where_less_is_better_a_rise_is_a_drop() -> None:
    (row,) = outcome.outcomes(read(ended({"name": "a", "peak": 0.8, "final": 0.81, "higher": False})))
    assert row.drop == pytest.approx(0.01)
    assert not row.beyond_noise


def test_the_mean_leaves_out_what_cannot_be_averaged() -> None:
    tasks = [{"name": name, "peak": peak, "final": peak - 0.1} for name, peak in (("a", 0.8), ("b", 0.6))]
    mean = outcome.mean(outcome.outcomes(read(ended(*tasks, {"name": "c", "peak": 30, "final": 31, "higher": False}))))
    assert mean is not None
    assert mean.label == "Mean of the 2 where higher is better"
    assert (mean.peak, mean.final, mean.drop) == pytest.approx((0.7, 0.6, 0.1))
    assert mean.test is None


def test_a_mean_with_a_gap_is_no_mean() -> None:
    assert outcome.average([0.5, None]) is None
    assert outcome.average([]) is None
    assert outcome.mean(outcome.outcomes(read(ended({"name": "a", "peak": 0.8, "final": 0.8})))) is None


def test_test_scores_come_from_the_latest_evaluation_of_the_chosen_model() -> None:
    def evaluation(model: str, value: float, split: str = "test") -> Event:
        return {"event": "evaluation", "split": split, "model": model, "scores": {"a": {"m": {"value": value}}}}

    events = ended({"name": "a", "peak": 0.8, "final": 0.8})
    later = [evaluation("last", 0.1), evaluation("model", 0.2), evaluation("best_mean", 0.3)]
    history = read([*events, *later, evaluation("model", 0.4, split="validation")])
    (row,) = outcome.outcomes(history)
    assert row.test is not None
    assert row.test.value == 0.2


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([], "Nothing has happened yet"),
        ([plan()], "5 tasks planned, no step taken yet"),
        (
            [plan(), {"event": "step", "step": 1200, "losses": {}}],
            "5 tasks at step 1,200 of 3,000, 5 learning",
        ),
        (
            [plan(), {"event": "step", "step": 1200}, {"event": "interrupted", "step": 1200}],
            "5 tasks, 5 still learning when the run was interrupted",
        ),
        (believable_run(), "5 tasks, 4 held at their peak, 1 still learning when the budget ended"),
    ],
)
def test_the_run_in_a_sentence(events: list[Event], sentence: str) -> None:
    assert outcome.headline(read(events)) == sentence


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("distill", "held at its peak"),
        ("continue", "converged, trained on"),
        ("drop", "converged, dropped"),
        ("stop", "converged, stopped"),
        ("sing", "converged"),
    ],
)
def test_what_became_of_a_converged_task(then: str, words: str) -> None:
    history = read([{"event": "converged", "step": 5, "task": "a", "then": then}])
    assert outcome.state_in_words(history, history.tasks["a"]) == words
    assert outcome.headline(history).endswith(words)


def test_a_task_that_waited_to_the_end_has_not_begun() -> None:
    names = ["a", "b"]
    tasks = [{"name": name, "metric": "m", "higher_is_better": True} for name in names]
    history = read(
        [
            {"event": "plan", "steps": 9, "tasks": tasks},
            {"event": "check", "step": 9, "logical": 9, "states": {"a": "learning", "b": "waiting"}},
            {"event": "end", "step": 9, "reason": "steps"},
        ]
    )
    assert outcome.state_in_words(history, history.tasks["b"]) == "not begun"
    assert outcome.headline(history) == "2 tasks, 1 still learning when the budget ended, 1 not begun"


def test_the_story_names_what_fell_and_what_was_thrown_away() -> None:
    told = " ".join(outcome.story(read(believable_run())))
    assert "The model is the last weights, step 3,000." in told
    assert "2 rewinds threw away 480 of 3,000 steps (16 %)." in told
    fallen = outcome.story(read(ended({"name": "a", "peak": 0.8, "final": 0.75})))
    assert "Below the peak by more than two standard errors: a by 0.050 (5.0 se)." in fallen


def test_the_story_tells_of_a_switch_before_one_epoch() -> None:
    event = {"event": "converged", "step": 5, "task": "a", "own_epochs": 0.18}
    assert "Converged before one pass over its own rows: a." in outcome.story(read([event]))


def test_the_aftermath_is_what_was_about_to_be_lost_and_what_was() -> None:
    history = read(believable_run())
    for switch in history.switches:
        task = history.tasks[switch.task]
        at_switch, worst_since = outcome.aftermath(task, switch)
        assert at_switch is not None
        assert worst_since is not None
        assert task.better(worst_since, at_switch), "holding the task at its peak saved something"
        checks = [check for check in task.checks if check.after_switch and not check.discarded]
        assert not any(check.mean is not None and task.better(worst_since, check.mean) for check in checks)


def spent(history: History) -> float:
    return sum(work.seconds for work in history.work)


def test_phases_end_where_tasks_converge_and_add_up() -> None:
    history = read(believable_run())
    *phases, total = costs.phases(history)
    assert [phase.last for phase in phases] == [780, 1380, 2100, 2280, 3000]
    assert [phase.first for phase in phases] == [1, 781, 1381, 2101, 2281]
    assert (total.first, total.last) == (1, 3000)
    assert sum(phase.seconds for phase in phases) == pytest.approx(total.seconds) == pytest.approx(spent(history))
    assert sum(phase.tokens for phase in phases) == total.tokens
    assert total.padding == pytest.approx(1 - 1 / 1.04, abs=1e-4)


def test_tasks_that_converge_together_end_one_phase() -> None:
    events: list[Event] = [{"event": "step", "step": at, "logical": at, "seconds": 1.0} for at in (1, 2, 3)]
    for name in ("a", "b"):
        events.insert(2, {"event": "converged", "step": 2, "task": name})
    labels = [phase.label for phase in costs.phases(read(events))]
    assert labels == ["until b and a converged", "so far", "all training"]


def test_one_phase_needs_no_sum() -> None:
    (phase,) = costs.phases(read([{"event": "step", "step": 1, "seconds": 2.0, "tokens": 10, "padded": 0}]))
    assert (phase.label, phase.padding, phase.speed) == ("training", None, 5.0)


def test_rewound_training_is_counted_apart() -> None:
    history = read(believable_run())
    seconds = {activity.kind: activity.seconds for activity in costs.activities(history)}
    assert seconds["learning"] + seconds["discarded"] == pytest.approx(spent(history))
    lost = sum(switch.discarded for switch in history.rewinds)
    assert seconds["discarded"] / spent(history) == pytest.approx(lost / history.step, rel=0.05)
    assert seconds["evaluation"] == pytest.approx(50 * 5.2)
