"""Teachers that give way to the truth: how far, what is learnt then, and that a run goes on with it exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.training.test_objective import ByRow, Constant, chunks_of, gradients
from torch import Tensor
from torch.nn import functional

from motet.errors import RecipeError
from motet.runs import Event
from motet.training.convergence import Patience
from motet.training.distillation import Annealing
from motet.training.objective import Held, Objective
from motet.training.optimisation import Clock
from motet.training.plan import Prepared, prepare
from motet.training.responses import Continue, Distill

SHARES = (0.0, 0.25, 0.5, 0.75)  # of the truth in the four steps behind a switch that are the last ones
AT_ONCE = Patience(
    checks=1, epochs=0, min_epochs=0, min_delta=0, smooth=1, beyond_constant=False, then=Distill(anneal=True)
)


@pytest.fixture
def prepared(toys: Any) -> Prepared:
    return prepare(toys.experiment())


def annealed(objective: Objective, task: str, teacher: Any, share: float, **settings: Any) -> None:
    """Hold a task with this much of the truth."""
    now = Annealing(lambda: round(1000 * share), start=0, end=1000)
    objective.held[task] = Held(Distill(anneal=True, **settings), teacher, now)


@pytest.mark.parametrize(
    ("step", "truth"), [(0, 0.0), (40, 0.0), (41, 1 / 60), (55, 0.25), (70, 0.5), (99, 59 / 60), (100, 1.0), (130, 1.0)]
)
def test_the_truth_comes_back_in_equal_steps_from_the_switch_to_the_end(step: int, truth: float) -> None:
    clock = Clock()
    found = Annealing(lambda: clock.logical, start=40, end=100)
    clock.logical = step
    assert found.truth == pytest.approx(truth)


def test_a_switch_at_the_end_is_no_division_by_nothing() -> None:
    assert Annealing(lambda: 7, start=7, end=7).truth == 0.0


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_classes_learn_from_the_mixed_target(prepared: Prepared, share: float) -> None:
    objective, chunks = Objective(prepared.model.train(), prepared.devices), chunks_of(prepared, 8)
    annealed(objective, "mood", Constant(0.7, -0.4), share)
    found = objective.losses(chunks)["mood"]
    taught = torch.tensor([0.7, -0.4]).softmax(0)
    logits, truth = said(prepared, chunks, "mood")
    target = share * functional.one_hot(truth.long(), 2) + (1 - share) * taught
    torch.testing.assert_close(found, functional.cross_entropy(logits, target))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_numbers_learn_towards_the_mixed_target(prepared: Prepared, share: float) -> None:
    """The losses differ by what no weight can change, so it is the gradients that agree."""
    objective, chunks = Objective(prepared.model.train(), prepared.devices), chunks_of(prepared, 8)
    annealed(objective, "count", Constant(0.9), share)
    found = gradients(prepared, {"count": objective.losses(chunks)["count"]})
    numbers, truth = said(prepared, chunks, "count")
    mixed = (numbers[:, 0] - (share * truth + (1 - share) * 0.9)).square().mean()
    torch.testing.assert_close(found, gradients(prepared, {"count": mixed}), atol=1e-6, rtol=1e-4)


def said(prepared: Prepared, chunks: Any, task: str) -> tuple[Tensor, Tensor]:
    """The logits and targets of a task in some chunks."""
    mine = [chunk for chunk in chunks if task in chunk.owned]
    targets = [chunk.owned[task].target for chunk in mine]
    return torch.cat([prepared.model(chunk)[task] for chunk in mine]), torch.cat(targets)


@pytest.mark.parametrize("toys_of", ["toys", "shape_toys"])
def test_every_shape_that_has_soft_labels_blends_them_with_the_truth(
    request: pytest.FixtureRequest, toys_of: str
) -> None:
    toys = request.getfixturevalue(toys_of)
    prepared = prepare(toys.experiment(tasks=tuple(task for task in toys.tasks if task.recordable)))
    objective, chunks = Objective(prepared.model.train(), prepared.devices), chunks_of(prepared, 6)
    names = list(prepared.model.tasks)
    truth, teacher = objective.losses(chunks), ByRow(prepared.model)
    objective.held = {name: Held(Distill(temperature=2.0), teacher) for name in names}
    taught = objective.losses(chunks)
    for name in names:
        annealed(objective, name, teacher, 0.25, weight=0.6, temperature=2.0)
    for name, loss in objective.losses(chunks).items():
        torch.testing.assert_close(loss, 0.6 * (0.25 * truth[name] + 0.75 * taught[name]))
    assert {objective.kind(name) for name in names} == {"blend"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"anneal": True, "blend": True}, "anneal"), ({"anneal": True, "teacher": "written"}, "anneal")],
)
def test_what_annealing_does_not_go_with(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Distill(**settings)
    assert [problem.name for problem in caught.value.problems] == [name]


@pytest.mark.parametrize("rewind", ["full", "none"])
@pytest.mark.parametrize("teacher", ["recorded", "online"])
def test_an_interrupted_run_anneals_on_exactly(dropout_toys: Any, rewind: Any, teacher: Any) -> None:
    rule = replace(AT_ONCE, rewind=rewind, then=Distill(anneal=True, teacher=teacher), checks=2)
    experiment = dropout_toys.experiment(rule, steps=24, check_every=2)
    whole = dropout_toys.start(experiment)
    assert "blend" in {kind for event in steps_of(whole) for kind in event["kinds"].values()}

    cut = dropout_toys.goes_on(experiment, "check", 16)
    assert [event["losses"] for event in steps_of(cut)] == [event["losses"] for event in steps_of(whole)]


def steps_of(run: Any) -> list[Event]:
    return [event for event in run.folder.events() if event["event"] == "step"]


def test_a_run_ends_close_to_the_truth(toys: Any) -> None:
    """With a rate that learns nothing, losses go from those of the teacher to those of the truth in a line."""
    others = {"count": {"checks": 100}}
    still = {"steps": 8, "check_every": 2, "learning_rate": 1e-12, "tasks": toys.tasks[:2]}
    answers = (Continue(), Distill(), Distill(anneal=True))
    runs = [toys.run(replace(AT_ONCE, then=then, tasks=others), **still) for then in answers]
    assert {event["task"] for run in runs for event in run.folder.events() if event["event"] == "converged"} == {"mood"}
    assert [event["kinds"]["mood"] for event in steps_of(runs[2])] == ["truth"] * 4 + ["blend"] * 4
    truth, taught, both = ([event["losses"]["mood"] for event in steps_of(run)][4:] for run in runs)
    assert all(abs(one - other) > 1e-4 for one, other in zip(truth, taught, strict=True))
    expected = [share * one + (1 - share) * other for share, one, other in zip(SHARES, truth, taught, strict=True)]
    assert both == pytest.approx(expected, rel=1e-4)
