"""Everything composes: schedules, balances, samplers and answers to convergence, each combination resumed exactly."""

from __future__ import annotations

from typing import Any

import pytest
from tests.training.conftest import Toys, require_same_model

from motet import registry
from motet.training.convergence import Patience
from motet.training.responses import Continue, Distill
from motet.training.schedules import Phase, Schedule
from motet.training.schedules.curriculum import Curriculum
from motet.training.schedules.phases import Phases
from motet.training.schedules.pretrain_finetune import PretrainFinetune
from motet.training.schedules.primary_auxiliary import PrimaryAuxiliary
from motet.training.schedules.primary_first import PrimaryFirst

TASKS = ("mood", "count", "within", "places")
NEEDS: dict[str, Schedule] = {
    "curriculum": Curriculum(scores=dict.fromkeys(TASKS, 0.3), wait_epochs=1.0),
    "phases": Phases(phases=(Phase(tasks=TASKS[:2], steps=6), Phase(tasks=TASKS))),
    "pretrain_finetune": PretrainFinetune(primary="mood", first_steps=6),
    "primary_auxiliary": PrimaryAuxiliary(primary="mood"),
    "primary_first": PrimaryFirst(primary="mood", first_steps=6),
}
SCHEDULES = list(registry.names("schedule"))
ANSWERS = {"continue": Continue(), "distill": Distill()}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("sampler", ["temperature", "boltzmann"])
@pytest.mark.parametrize("balance", ["sum", "uncertainty", "pcgrad"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_trains_and_goes_on_exactly(toys: Toys, schedule: str, balance: str, sampler: str, answer: str) -> None:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False, then=ANSWERS[answer])
    experiment = toys.experiment(
        rule,
        steps=20,
        tokens_per_batch=96,
        check_every=5,
        seed=2,
        schedule=NEEDS[schedule] if schedule in NEEDS else _part("schedule", schedule),
        balance=_part("balance", balance),
        sampler=_part("sampler", sampler),
    )
    whole = toys.start(experiment)

    cut = toys.goes_on(experiment, "check", 10)
    require_same_model(cut, whole)


def _part(kind: Any, name: str) -> Any:
    return registry.find(kind, name)()
