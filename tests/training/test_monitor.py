"""Scores that are no numbers: kept, gone back to, and never taken for a peak."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from motet.metrics.base import Score
from motet.runs import Event
from motet.tasks.base import Scores
from motet.training import monitor as module
from motet.training.convergence import Patience
from motet.training.run import Run

EAGER = Patience(
    checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False, rewind="full",
    tasks={"count": {"checks": 100}},
)  # fmt: skip


def events_of(run: Run, kind: str) -> list[Event]:
    return [event for event in run.folder.events() if event["event"] == kind]


def with_scores(monkeypatch: pytest.MonkeyPatch, mood: list[float], count: list[float]) -> None:
    """Check after check these scores, as if the model had them."""
    checks = iter(zip(mood, count, strict=True))

    def evaluate(*args: Any) -> dict[str, Scores]:
        accuracy, rmse = next(checks)
        return {"mood": {"accuracy": Score(accuracy, 0.01)}, "count": {"rmse": Score(rmse, math.nan)}}

    monkeypatch.setattr(module, "evaluate", evaluate)


def scripted(toys: Any, monkeypatch: pytest.MonkeyPatch, mood: list[float], count: list[float]) -> Run:
    """A run of two tasks with these scores; `mood` converges and takes both back to its peak."""
    with_scores(monkeypatch, mood, count)
    tasks = (toys.tasks[0], replace(toys.tasks[1], metric="rmse"))
    run: Run = toys.run(EAGER, tasks=tasks, steps=len(mood), check_every=1, final="best_mean")
    return run


@pytest.mark.parametrize("strange", [math.inf, math.nan])
def test_a_score_without_end_can_be_gone_back_to(toys: Any, monkeypatch: pytest.MonkeyPatch, strange: float) -> None:
    run = scripted(toys, monkeypatch, [0.9, 0.8, 0.8, 0.8, 0.8], [strange, 5.0, 4.0, 3.0, 3.5])
    (switch,) = events_of(run, "converged")
    assert (switch["task"], switch["best_step"], switch["step"]) == ("mood", 1, 2)
    checks = events_of(run, "check")
    assert checks[0]["headline"]["count"] is None
    assert checks[-1]["best"]["count"]["value"] == 3.0
    assert all(0 <= check["mean_normalised"] <= 1 for check in checks)
    (candidates,) = events_of(run, "candidates")
    assert candidates["best_mean"]["step"] == 4
    (capped,) = events_of(run, "capped")
    assert capped["tasks"] == ["count"]


@pytest.mark.parametrize("strange", [math.inf, math.nan])
def test_a_score_without_end_is_no_peak(toys: Any, monkeypatch: pytest.MonkeyPatch, strange: float) -> None:
    run = scripted(toys, monkeypatch, [0.5, 0.6, 0.7], [4.0, strange, 5.0])
    assert events_of(run, "check")[-1]["best"]["count"]["step"] == 1
