"""Which trial validation chooses."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from motet.runs import RunFolder
from motet.study.choice import Validated, best_of, validated

UP = {"a": True, "b": True}
SCORES = st.lists(st.fixed_dictionaries({"a": st.floats(0.1, 1), "b": st.floats(0.1, 1)}), min_size=1, max_size=6)


def test_less_may_be_better() -> None:
    down = {"error": False}
    assert best_of([Validated({"error": error}, down) for error in (3.0, 1.0, 2.0)]) == 1


def test_the_first_of_equals_is_taken() -> None:
    assert best_of([Validated({"a": 0.5, "b": 0.5}, UP)] * 3) == 0


def test_a_best_score_of_nothing_divides_nothing() -> None:
    assert best_of([Validated({"a": 0.0, "b": 0.4}, UP), Validated({"a": 0.0, "b": 0.5}, UP)]) == 1


def test_what_has_no_score_is_not_chosen() -> None:
    assert best_of([None, None]) is None
    assert best_of([]) is None


@given(SCORES)
def test_what_is_best_at_everything_is_chosen(scores: list[dict[str, float]]) -> None:
    top = {"a": 1.5, "b": 1.5}
    trials = [Validated(of, UP) for of in [*scores, top]]
    assert best_of(trials) == len(scores)


@given(SCORES, st.floats(0.5, 100))
def test_the_scale_of_a_task_does_not_matter(scores: list[dict[str, float]], factor: float) -> None:
    scaled = [{"a": of["a"] * factor, "b": of["b"]} for of in scores]
    one, other = (best_of([Validated(of, UP) for of in each]) for each in (scores, scaled))
    assert one is not None
    assert other is not None
    assert abs(distance(scores, one) - distance(scores, other)) < 1e-9


def distance(scores: list[dict[str, float]], at: int) -> float:
    return sum(1 - scores[at][task] / max(of[task] for of in scores) for task in UP)


def test_the_scores_are_those_of_the_model_on_validation(tmp_path: Path) -> None:
    task = {"name": "mood", "metric": "accuracy", "higher_is_better": True}
    last, best = ({"scores": {"mood": {"accuracy": {"value": value, "se": 0.1}}}} for value in (0.5, 0.7))
    events = [
        {"event": "plan", "tasks": [task]},
        {"event": "candidates", "chosen": "best_mean", "last": last, "best_mean": best},
    ]
    run = RunFolder(tmp_path)
    run.events_file.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    assert validated(run) == Validated({"mood": 0.7}, {"mood": True})
    run.events_file.write_text(json.dumps(events[0]) + "\n", encoding="utf-8")
    assert validated(run) is None
