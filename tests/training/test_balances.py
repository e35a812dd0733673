"""Every balance in a run: it trains, its weights are written, and an interrupted run goes on exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.training.conftest import Toys, require_same_model, source
from torch import Tensor

from motet import registry
from motet.balancing.gradients.gradnorm import GradNorm
from motet.balancing.gradients.mgda import _MGDA, MGDA
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.gradients.rules import SolverFailed
from motet.balancing.losses.loss_ratio import LossRatio
from motet.errors import RecipeError, RunError
from motet.runs import RunFolder
from motet.tasks.classification import Classification
from motet.tasks.regression import Regression
from motet.training.convergence import Patience
from motet.training.optimisation import Clock
from motet.training.plan import prepare
from motet.training.run import Run, resume, start, trainer_of

KEEPS_NONE = ("sum", "db_mtl")
NEEDS = {"loss_ratio": LossRatio(reference="mood")}
NAMES = [name for name in registry.names("balance") if name != "torchjd"]


def part_of(name: str) -> Any:
    return NEEDS[name] if name in NEEDS else registry.find("balance", name)()


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_run_goes_on_exactly(toys: Toys, name: str) -> None:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False)
    experiment = toys.experiment(rule, steps=6, check_every=2, balance=part_of(name), seed=3)
    whole = toys.start(experiment)
    steps = [event for event in whole.folder.events() if event["event"] == "step"]
    assert all(loss is None or loss < 100 for event in steps for loss in event["losses"].values())
    assert name in KEEPS_NONE or any(event["weights"] for event in steps)

    cut = toys.goes_on(experiment, "check", 4)
    require_same_model(cut, whole)


def a_step(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.folder.events() if event["event"] == "step"]


@pytest.mark.parametrize("balance", ["sum", "pcgrad"])
def test_rows_of_different_tasks_lie_apart_where_gradients_are_compared(toys: Toys, balance: str) -> None:
    feed = prepare(toys.experiment(balance=part_of(balance), tokens_per_batch=400)).feed
    owners = {frozenset(chunk.owned) for _ in range(4) for chunk in feed.next([task.name for task in toys.tasks])}
    together = {frozenset({"mood", "count"}), frozenset({"within"}), frozenset({"places"})}
    assert (owners == together) == (balance == "pcgrad")


def test_rows_of_one_source_lie_apart_by_who_labels_them(toys: Toys) -> None:
    labelled = source()
    for number, row in enumerate(labelled["train"]):
        row["mood" if number % 2 else "count"] = None
    tasks = (
        Classification("mood", source=labelled, text="text", label="mood"),
        Regression("count", source=labelled, text="text", value="count"),
    )
    feed = prepare(toys.experiment(balance=PCGrad(), tasks=tasks)).feed
    for chunk in feed.next(["mood", "count"]):
        assert len(chunk.owned) == 1


@pytest.mark.parametrize("options", [{}, {"batches": "single", "accumulate": 4}, {"accumulate": 2, "clip": 0.01}])
def test_a_step_of_a_rule_without_conflict_is_one_of_the_sum(toys: Toys, options: dict[str, Any]) -> None:
    """`gradnorm` begins with weights of 1; a rule that only weighs must leave the parameters where the sum does."""
    after = {}
    for name, part in {"sum": part_of("sum"), "gradnorm": GradNorm(where="shared")}.items():
        trainer = trainer_of(prepare(toys.experiment(balance=part, **options)), None)
        trainer.optimiser.zero()
        chunks = [trainer.feed.next(trainer.live) for _ in range(trainer.experiment.training.accumulate)]
        trainer.balancer.begin(0, 1)
        for batch in chunks:
            trainer._backward(trainer.objective.losses(batch))
        trainer.balancer.finish()
        norm = trainer.optimiser.step(Clock())
        after[name] = {**{name: p.grad for name, p in trainer.model.named_parameters()}, "norm": norm}
    for key, value in after["sum"].items():
        found = after["gradnorm"][key]
        assert (value is None) == (found is None), key
        if value is not None and found is not None:
            torch.testing.assert_close(found, value, atol=1e-6, rtol=1e-4)


def test_cosines_are_written_on_request(toys: Toys) -> None:
    for record in (True, False):
        (event, *_) = a_step(toys.run(steps=2, balance=PCGrad(record=record)))
        assert bool(event["conflict"]) == record
        if record:
            assert event["conflict"]["names"] == sorted(task.name for task in toys.tasks)
            assert [row[place] for place, row in enumerate(event["conflict"]["cosines"])] == pytest.approx([1.0] * 4)
        assert set(event["weights"]) == {task.name for task in toys.tasks}


def test_the_plan_says_what_a_comparison_costs(toys: Toys) -> None:
    notes = " ".join(prepare(toys.experiment(balance=PCGrad())).plan["notes"])
    assert "pcgrad: keeps" in notes
    assert "4 tasks" in notes
    assert "passed through backwards once a task" in notes
    apart = tuple(task for task in toys.tasks if task.name != "count")
    assert "once a task" not in " ".join(prepare(toys.experiment(balance=PCGrad(), tasks=apart)).plan["notes"])
    assert "pcgrad" not in " ".join(prepare(toys.experiment(balance=PCGrad(where="last_layer"))).plan["notes"])


def test_a_comparison_that_needs_too_much_memory_is_refused(toys: Toys) -> None:
    with pytest.raises(RecipeError, match=r"balance.most_memory = 1e-06\n.*4 tasks take.*representation"):
        prepare(toys.experiment(balance=PCGrad(most_memory=1e-6)))
    prepare(toys.experiment(balance=PCGrad(most_memory=1e-6, where="last_layer")))


def test_tasks_that_never_meet_are_refused(toys: Toys) -> None:
    apart = tuple(task for task in toys.tasks if task.name != "count")
    with pytest.raises(RecipeError, match=r"(?s)never lets two tasks meet.*batches: mixed.*accumulate"):
        prepare(toys.experiment(balance=PCGrad(), batches="single", tasks=apart))
    with pytest.raises(RecipeError, match="never lets two tasks meet"):
        prepare(toys.experiment(balance=PCGrad(where="last_layer"), batches="single", accumulate=2, tasks=apart))
    prepare(toys.experiment(balance=PCGrad(), batches="single", accumulate=2, tasks=apart))
    prepare(toys.experiment(balance=PCGrad(), batches="single"))  # mood and count always meet


def test_one_gradient_is_told(toys: Toys) -> None:
    (warning,) = prepare(toys.experiment(balance=PCGrad(), tasks=toys.tasks[:1])).plan["warnings"]
    assert (warning["code"], warning["task"]) == ("one-gradient", "mood")


def test_a_rule_that_fails_stops_the_run_and_leaves_it_resumable(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = toys.experiment(steps=6, check_every=2, balance=MGDA())
    whole = toys.start(experiment)
    asked: list[int] = []
    weigh = _MGDA.weigh

    def failing(self: Any, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        asked.append(1)
        return weigh(self, gramian, names, losses) * (torch.nan if len(asked) == 5 else 1)

    monkeypatch.setattr(_MGDA, "weigh", failing)
    with pytest.raises(RunError, match=r"`mgda` found no update at step 5\. The weight of count, mood") as caught:
        start(experiment, toys.folder / "cut")
    assert isinstance(caught.value.__cause__, SolverFailed)
    (step,) = [e["step"] for e in RunFolder(toys.folder / "cut").events() if e.get("code") == "balance-failed"]
    assert step == 5
    cut = resume(toys.folder / "cut", experiment)
    require_same_model(cut, whole)


def test_fallbacks_are_counted(toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    weigh = _MGDA.weigh

    def falling(self: Any, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        self.fallbacks += 1
        return weigh(self, gramian, names, losses)

    monkeypatch.setattr(_MGDA, "weigh", falling)
    run = toys.run(steps=4, log_every=2, check_every=4, balance=MGDA())
    told = [event for event in run.folder.events() if event.get("code") == "balance-fell-back"]
    assert [event["step"] for event in told] == [2, 4]
    assert "2 times in the last 2 steps" in told[0]["message"]
