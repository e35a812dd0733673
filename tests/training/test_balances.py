"""Every balance in a run: it trains, its weights are written, and an interrupted run goes on exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.training.conftest import Toys

from motet import registry
from motet.balancing.losses.loss_ratio import LossRatio
from motet.model import load
from motet.training.convergence import Patience
from motet.training.run import resume, start

NEEDS = {"loss_ratio": LossRatio(reference="mood")}
NAMES = [name for name in registry.names("balance") if name != "torchjd"]


def part_of(name: str) -> Any:
    return NEEDS[name] if name in NEEDS else registry.find("balance", name)()


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_run_goes_on_exactly(toys: Toys, name: str) -> None:
    rule = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1)
    experiment = toys.experiment(rule, steps=6, check_every=2, balance=part_of(name), seed=3)
    whole = toys.start(experiment)
    steps = [event for event in whole.folder.events() if event["event"] == "step"]
    assert all(loss is None or loss < 100 for event in steps for loss in event["losses"].values())
    assert name == "sum" or any(event["weights"] for event in steps)

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "check" and event["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(experiment, toys.folder / "cut", listeners=[stop])
    cut = resume(toys.folder / "cut", experiment)
    again = load(cut.folder.path).state_dict()
    for key, weight in load(whole.folder.path).state_dict().items():
        torch.testing.assert_close(again[key], weight, rtol=0, atol=0)
