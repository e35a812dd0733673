"""Runs whose gradients are cut between trunk and heads: nothing of an update may be lost there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.encoders.conftest import make_bart, make_gpt2, make_t5
from tests.training.conftest import Toys, source

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.balancing.gradients.graddrop import GradDrop
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.losses.sum import Sum
from motet.encoders.loading import Encoder
from motet.model import load
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage
from motet.training.convergence import Never, Patience
from motet.training.experiment import Experiment, Training
from motet.training.run import Run, resume, start

AT_ONCE = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False)
WHOLE = GradDrop(leak=1.0)  # everything passes, so that it is the sum
MAKERS = {"t5": make_t5, "bart": make_bart, "gpt2": make_gpt2}


def equal(one: Run, other: Run, *, rtol: float = 1e-3, atol: float = 2e-5) -> None:
    weights = load(other.folder.path).state_dict()
    for name, weight in load(one.folder.path).state_dict().items():
        torch.testing.assert_close(weight, weights[name], rtol=rtol, atol=atol)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_tasks_that_read_inner_layers_have_their_gradients(toys: Toys, accumulate: int) -> None:
    deep = HardSharing(dropout=0.0, read_layer={"places": 1, "count": 2}, task_layers={"mood": 1})
    plain, cut = (
        toys.run(Never(), steps=3, accumulate=accumulate, architecture=deep, balance=balance)
        for balance in (Sum(), WHOLE)
    )
    equal(plain, cut)


def test_tasks_of_every_shape_have_their_gradients(shape_toys: Toys) -> None:
    plain, cut = (shape_toys.run(Never(), steps=3, balance=balance) for balance in (Sum(), WHOLE))
    equal(plain, cut)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_writes_has_its_gradients(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(5)
    for part in MAKERS[kind]():
        part.save_pretrained(tmp_path / "encoder")
    shared = source(train=30, validation=12)
    tasks: tuple[Task, ...] = (
        Generation("echo", source=shared, text="other", target="text", longest=12, top=0),
        Classification("mood", source=shared, text="other", label="mood"),
        *([CausalLanguage("words", source=shared)] if kind == "gpt2" else []),
    )
    runs = []
    for number, balance in enumerate((Sum(), WHOLE)):
        experiment = Experiment(
            tasks=tasks,
            encoder=Encoder(str(tmp_path / "encoder"), max_length=32),
            architecture=HardSharing(dropout=0.0),
            training=Training(steps=3, tokens_per_batch=120, check_every=3, precision="fp32", device="cpu"),
            balance=balance,
        )
        runs.append(start(experiment, tmp_path / f"run{number}"))
    equal(*runs)


@pytest.mark.parametrize(
    "balance",
    [MGDA(where="representation"), PCGrad(where="representation", every=2), GradDrop(), GradDrop(where="shared")],
    ids=["mgda", "pcgrad", "graddrop", "graddrop on parameters"],
)
def test_an_interrupted_run_goes_on_exactly(dropout_toys: Toys, balance: Any) -> None:
    experiment = dropout_toys.experiment(AT_ONCE, steps=8, check_every=2, balance=balance, accumulate=2)
    whole = dropout_toys.start(experiment)
    assert any(event["event"] == "converged" for event in whole.folder.events())

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "check" and event["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(experiment, dropout_toys.folder / "cut", listeners=[stop])
    equal(resume(dropout_toys.folder / "cut", experiment), whole, rtol=0, atol=0)
