"""Every architecture trains with every kind of balance and answer to convergence, and goes on exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.examples import EXAMPLES
from tests.training.conftest import Toys

from motet import registry
from motet.errors import RecipeError
from motet.model import load
from motet.training.convergence import Patience
from motet.training.experiment import Experiment
from motet.training.responses import Continue, Distill
from motet.training.run import resume, start

NAMES = sorted(EXAMPLES)
ANSWERS = {"continue": Continue(), "distill": Distill()}
TEACHERS = ("recorded", "online")


def experiment(toys: Toys, name: str, balance: str, answer: str, **training: Any) -> Experiment:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False, then=ANSWERS[answer])
    part: Any = registry.find("balance", balance)
    settings = {"steps": 10, "tokens_per_batch": 96, "check_every": 3, "seed": 2, "balance": part(), **training}
    tasks = [task.name for task in toys.tasks]
    return toys.experiment(rule, architecture=EXAMPLES[name].make(tasks), **settings)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("balance", "answer"), [("sum", "continue"), ("uncertainty", "distill"), ("pcgrad", "distill")]
)
def test_it_trains_and_goes_on_exactly(toys: Toys, name: str, balance: str, answer: str) -> None:
    wanted = experiment(toys, name, balance, answer)
    whole = toys.start(wanted)
    steps = [event for event in whole.folder.events() if event["event"] == "step"]
    assert {task for step in steps for task in step["losses"]} == {task.name for task in toys.tasks}
    assert {extra for step in steps for extra in step.get("penalties", {})} == EXAMPLES[name].extras

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "check" and event["step"] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(wanted, toys.folder / "cut", listeners=[stop])
    cut = resume(toys.folder / "cut", wanted)
    weights = load(cut.folder.path).state_dict()
    for key, weight in load(whole.folder.path).state_dict().items():
        torch.testing.assert_close(weights[key], weight, rtol=0, atol=0, msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_names_itself_where_it_is_not_there(toys: Toys, name: str) -> None:
    architecture = EXAMPLES[name].make(["mood", "count", "within", "elsewhere"])
    if "elsewhere" not in str(registry.describe(architecture)):
        return  # it names no task
    with pytest.raises(RecipeError, match="elsewhere"):
        toys.start(toys.experiment(architecture=architecture, steps=1))
