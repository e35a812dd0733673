"""Every architecture trains with every kind of balance and answer to convergence, and goes on exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.architectures.examples import EXAMPLES
from tests.training.conftest import Toys, require_same_model

from motet import registry
from motet.architectures.modular.lora import LoRA
from motet.balancing.gradients.graddrop import GradDrop
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.regularisers.mmd import MMD
from motet.errors import RecipeError
from motet.training.convergence import Patience
from motet.training.experiment import Experiment
from motet.training.plan import prepare
from motet.training.responses import Continue, Distill
from motet.training.run import Run

NAMES = sorted(EXAMPLES)
ANSWERS = {"continue": Continue(), "distill": Distill()}
MIXTURES = [(balance, answer) for answer in ANSWERS for balance in ("sum", "pcgrad", "uncertainty")]
STRANGERS = ["mood", "count", "within", "elsewhere"]
NAMING = [name for name in NAMES if "elsewhere" in str(registry.describe(EXAMPLES[name].make(STRANGERS)))]


def experiment(toys: Toys, name: str, balance: str, answer: str, **training: Any) -> Experiment:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False, then=ANSWERS[answer])
    part: Any = registry.find("balance", balance)
    settings = {"steps": 10, "tokens_per_batch": 96, "check_every": 3, "seed": 2, "balance": part(), **training}
    tasks = [task.name for task in toys.tasks]
    return toys.experiment(rule, architecture=EXAMPLES[name].make(tasks), **settings)


def mixture(name: str, turn: int) -> tuple[str, str]:
    """A balance and an answer: one of the six after the other, and another one at the next turn."""
    return MIXTURES[(NAMES.index(name) + turn) % len(MIXTURES)]


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_goes_on_exactly(toys: Toys, name: str) -> None:
    wanted = experiment(toys, name, *mixture(name, 0))
    whole = toys.start(wanted)
    require_everything_learnt(toys, name, whole)

    cut = toys.goes_on(wanted, "check", 6)
    require_same_model(cut, whole)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_with_another_balance_and_answer(toys: Toys, name: str) -> None:
    require_everything_learnt(toys, name, toys.start(experiment(toys, name, *mixture(name, 4))))


@pytest.mark.parametrize("name", NAMING)
def test_a_task_that_is_not_there_is_refused(toys: Toys, name: str) -> None:
    with pytest.raises(RecipeError, match="elsewhere"):
        toys.start(toys.experiment(architecture=EXAMPLES[name].make(STRANGERS), steps=1))


@pytest.mark.parametrize(
    ("name", "balance", "told"),
    [
        ("cross_stitch", PCGrad(where="representation"), "`cross_stitch` makes several"),
        ("adapters", GradDrop(), "`adapters` makes several"),
        ("soft_sharing", PCGrad(where="last_layer"), "a layer that one task has for itself"),
    ],
)
def test_gradients_that_an_architecture_has_not_are_refused(toys: Toys, name: str, balance: Any, told: str) -> None:
    architecture = EXAMPLES[name].make([task.name for task in toys.tasks])
    with pytest.raises(RecipeError, match=told):
        prepare(toys.experiment(architecture=architecture, balance=balance))


def test_so_are_regularisers_that_compare_representations(toys: Toys) -> None:
    wanted = replace(toys.experiment(architecture=LoRA(freeze=False)), regularisers=(MMD(),))
    with pytest.raises(RecipeError, match="`lora` reads it several times"):
        prepare(wanted)


def require_everything_learnt(toys: Toys, name: str, run: Run) -> None:
    """A loss for each task, and what the architecture adds."""
    steps = [event for event in run.folder.events() if event["event"] == "step"]
    assert len(steps) == 10
    assert {task for step in steps for task in step["losses"]} == {task.name for task in toys.tasks}
    assert {extra for step in steps for extra in step.get("penalties", {})} == EXAMPLES[name].extras
