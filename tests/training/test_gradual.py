"""Tasks that are drawn to their best weights before they have converged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.training.conftest import Toys, require_same_model
from tests.training.test_objective import Constant, chunks_of

from motet.errors import RecipeError
from motet.runs import Event
from motet.training.convergence import Check, Patience, Tracker
from motet.training.objective import Drawn, Held, Objective
from motet.training.plan import prepare
from motet.training.pretrained_teachers import PretrainedTeacher
from motet.training.responses import Distill
from motet.training.run import Run

RULE = Patience(
    checks=4, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False, then=Distill(gradual=True)
)


def tracked(rule: Patience, scores: list[float], each: float = 1.0) -> Tracker:
    tracker = Tracker(rule)
    for at, score in enumerate(scores):
        tracker.observe(Check(at, at, score, 0.0, each * (at + 1), f"{at}"))
    return tracker


@pytest.mark.parametrize(
    ("scores", "used"),
    [
        ([0.5], 0.0),
        ([0.5, 0.6], 0.0),
        ([0.5, 0.6, 0.6], 0.25),
        ([0.5, 0.6, 0.4, 0.5], 0.5),
        ([0.5, 0.6, 0.4, 0.5, 0.6, 0.7], 0.0),
        ([0.6, 0.5, 0.5, 0.5, 0.5], 1.0),
        ([0.6, 0.5, 0.5, 0.5, 0.5, 0.5], 1.0),
    ],
)
def test_patience_is_used_up_check_by_check(scores: list[float], used: float) -> None:
    tracker = tracked(RULE, scores)
    assert tracker.used == used
    assert tracker.converged == (used == 1.0)


def test_the_measure_of_which_most_is_left_counts() -> None:
    scores = [0.6, 0.5, 0.5]
    assert tracked(replace(RULE, epochs=1.0), scores, each=0.1).used == pytest.approx(0.2)
    assert tracked(replace(RULE, min_epochs=3.0), scores, each=0.1).used == pytest.approx(0.1)
    assert tracked(replace(RULE, min_epochs=3.0), scores).used == 0.5
    assert tracked(replace(RULE, beyond_constant=True), scores).used == 0.5
    assert Tracker(None, checks=tracked(RULE, scores).checks).used == 0.0


def test_a_loss_goes_from_the_truth_to_the_teacher(toys: Toys) -> None:
    prepared = prepare(toys.experiment())
    chunks, teacher = chunks_of(prepared, 8), Constant(0.7, -0.4)
    plain = Objective(prepared.model.train(), prepared.devices).losses(chunks)["mood"].item()
    held = {"mood": Held(Distill(), teacher)}
    taught = Objective(prepared.model, prepared.devices, held).losses(chunks)["mood"].item()
    for used in (0.25, 0.5, 1.0):
        objective = Objective(prepared.model, prepared.devices)
        objective.guides["mood"] = Drawn(Distill(weight=0.5), teacher, used=used)
        found = objective.losses(chunks)["mood"].item()
        assert found == pytest.approx((1 - used) * plain + used * 0.5 * taught, rel=1e-5)
        assert (objective.kind("mood"), objective.kind("count")) == ("blend", "truth")


def kinds(run: Run, task: str) -> list[str]:
    steps: list[Event] = [event for event in run.folder.events() if event["event"] == "step"]
    return [event["kinds"][task] for event in steps]


def test_a_task_is_drawn_before_it_is_held(toys: Toys) -> None:
    """With a rate that learns nothing no check is better than the first, so patience is used up evenly."""
    settings: dict[str, Any] = {"steps": 14, "check_every": 2, "learning_rate": 1e-12, "tasks": toys.tasks[:1]}
    run = toys.run(RULE, **settings)
    assert kinds(run, "mood") == ["truth"] * 4 + ["blend"] * 6
    plain = toys.run(replace(RULE, then=Distill()), **settings)
    assert kinds(plain, "mood") == ["truth"] * 10


def test_without_it_nothing_changes(toys: Toys) -> None:
    rule = replace(RULE, checks=1)
    require_same_model(toys.run(rule), toys.run(replace(rule, then=Distill())))


@pytest.mark.parametrize("rewind", ["full", "none"])
@pytest.mark.parametrize("snapshots", [1, 2])
def test_an_interrupted_run_is_drawn_on_exactly(dropout_toys: Toys, rewind: Any, snapshots: int) -> None:
    rule = replace(RULE, rewind=rewind, checks=3, then=Distill(gradual=True, snapshots=snapshots))
    experiment = dropout_toys.experiment(rule, steps=24, check_every=2, learning_rate=0.02)
    whole = dropout_toys.start(experiment)
    drawn = [at for at in range(len(kinds(whole, "mood"))) if "blend" in {kinds(whole, t)[at] for t in whole.scores}]
    assert drawn
    for step in (8, 14):
        require_same_model(dropout_toys.goes_on(experiment, "check", step), whole)


def test_every_shape_can_be_drawn(shape_toys: Toys) -> None:
    rule = replace(RULE, checks=8)
    run = shape_toys.run(rule, steps=12, check_every=2, learning_rate=1e-12)
    assert all("blend" in kinds(run, task) for task in run.scores)


@pytest.mark.parametrize("other", [{"teacher": "written"}])
def test_what_it_does_not_go_with(other: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        Distill(gradual=True, **other)
    assert [problem.name for problem in caught.value.problems] == ["gradual"]


def test_one_share_of_the_truth_is_enough(toys: Toys) -> None:
    with pytest.raises(RecipeError, match="teachers\n    cannot go with `gradual`"):
        replace(toys.experiment(RULE), teachers=(PretrainedTeacher("runs/first"),))
