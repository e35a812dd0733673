"""The score of the best answer that ignores the text, and what follows for a task that never does better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error

from motet.data.examples import Examples
from motet.runs import Event
from motet.training.baselines import baselines
from motet.training.convergence import PRESETS, Convergence, Never, Patience
from motet.training.plan import prepare
from motet.training.run import Run

STILL = {"steps": 8, "check_every": 1, "learning_rate": 1e-12}
IMPATIENT = Patience(checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1)


def of_kind(run: Run, name: str) -> list[Event]:
    return [event for event in run.folder.events() if event["event"] == name]


def never_began(run: Run) -> set[str]:
    return {event["task"] for event in of_kind(run, "warning") if event["code"] == "never-began"}


def answers(examples: Examples) -> np.ndarray:
    return np.concatenate([examples.target(row) for row in range(len(examples))])


def judged(toys: Any, **metrics: str) -> dict[str, float | None]:
    """The baselines of the toys, judged by these metrics."""
    tasks = tuple(replace(task, metric=metrics.get(task.name, "")) for task in toys.tasks)
    return prepare(toys.experiment(tasks=tasks)).baselines


@pytest.mark.parametrize(
    ("task", "metric", "oracle"),
    [
        ("mood", "accuracy", accuracy_score),
        ("mood", "macro_f1", lambda truth, guess: f1_score(truth, guess, average="macro")),
        ("places", "token_accuracy", accuracy_score),
    ],
)
def test_labels_agree_with_another_library(toys: Any, task: str, metric: str, oracle: Any) -> None:
    splits = prepare(toys.experiment()).corpus.splits
    train, truth = (answers(splits[split][task]) for split in ("train", "validation"))
    dummy = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train), 1)), train)
    guess = dummy.predict(np.zeros((len(truth), 1)))
    assert judged(toys, **{task: metric})[task] == pytest.approx(oracle(truth, guess))


def test_numbers_agree_with_another_library(toys: Any) -> None:
    prepared = prepare(toys.experiment())
    task: Any = prepared.corpus.tasks["count"]
    values = {split: answers(of["count"]) * task.scale + task.mean for split, of in prepared.corpus.splits.items()}
    dummy = DummyRegressor().fit(np.zeros((len(values["train"]), 1)), values["train"])
    guess = dummy.predict(np.zeros((len(values["validation"]), 1)))
    expected = mean_squared_error(values["validation"], guess) ** 0.5
    assert judged(toys, count="rmse")["count"] == pytest.approx(expected, rel=1e-6)
    assert judged(toys, count="spearman")["count"] == 0.0


def test_windows_without_an_answer_score_the_share_of_questions_that_have_none(shape_toys: Any) -> None:
    toys = replace(shape_toys, tasks=prepare_tasks(shape_toys))
    prepared = prepare(toys.experiment())
    examples = prepared.corpus.examples("validation")["where"]
    assert len(examples.rows) > len(examples)
    none = [not record["places"] for record in examples.records()]
    assert 0 < prepared.baselines["where"] < 1  # type: ignore[operator]
    assert prepared.baselines["where"] == pytest.approx(np.mean(none))
    assert prepared.baselines["order"] is None
    assert prepared.baselines["words"] is None


def prepare_tasks(toys: Any) -> Any:
    """The tasks whose rows are windows, tied or hidden."""
    return tuple(task for task in toys.tasks if task.name in ("where", "order", "words"))


def test_the_metric_is_the_one_a_task_is_judged_by(toys: Any) -> None:
    prepared = prepare(toys.experiment(Patience(tasks={"count": {"monitor": "mae"}})))
    assert prepared.baselines["count"] == pytest.approx(judged(toys, count="mae")["count"])
    assert {row["name"]: row["baseline"] for row in prepared.plan["tasks"]} == prepared.baselines


def test_a_score_that_is_not_finite_is_no_baseline(toys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(toys.experiment())
    task = type(prepared.corpus.tasks["count"])
    monkeypatch.setattr(task, "constant", lambda self, targets: np.full(1, np.nan))
    assert baselines(prepared.corpus, Never())["count"] is None


def test_tasks_that_stay_at_a_constant_answer_are_not_called_converged(toys: Any) -> None:
    """The tiny model says much the same to every text, and does not learn at this rate."""
    run = toys.run(IMPATIENT, **STILL)
    literal = toys.run(replace(IMPATIENT, beyond_constant=False), **STILL)
    stuck = never_began(run)
    assert "mood" in stuck
    assert stuck <= {event["task"] for event in of_kind(literal, "converged")}
    assert not stuck & {event["task"] for event in of_kind(run, "converged")}
    (capped,) = of_kind(run, "capped")
    assert stuck <= set(capped["tasks"])
    assert never_began(literal) == set()


@pytest.mark.parametrize(("rule", "warned"), [(Never(), True), (PRESETS["paper"], False)])
def test_plain_joint_training_tells_it_too(toys: Any, rule: Convergence, warned: bool) -> None:
    assert ("mood" in never_began(toys.run(rule, **{**STILL, "steps": 2}))) is warned


def test_a_run_that_goes_on_keeps_its_baselines(toys: Any) -> None:
    whole = toys.run(IMPATIENT, **STILL)
    experiment = toys.experiment(IMPATIENT, **STILL)

    cut = toys.goes_on(experiment, "check", 5)
    assert never_began(cut) == never_began(whole)
    for kind in ("converged", "capped"):
        assert [{**e, "time": 0} for e in of_kind(cut, kind)] == [{**e, "time": 0} for e in of_kind(whole, kind)]
