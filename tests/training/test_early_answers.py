"""Answers on the way to the final ones are taught as these are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.training.conftest import Toys

from motet.architectures.hierarchical.pad_net import PADNet
from motet.training.objective import Held, Objective
from motet.training.plan import prepare
from motet.training.responses import Distill


class Same:
    """A teacher that has one answer."""

    def __init__(self, width: int) -> None:
        self.width = width

    def logits(self, chunk: Any, task: str) -> torch.Tensor:
        return torch.linspace(-1, 1, self.width).expand(int(chunk.owned[task].lengths.sum()), -1)

    def rewrite(self, chunk: Any, task: str) -> Any:
        return chunk


def losses(toys: Toys, first: float, held: bool) -> dict[str, float]:
    prepared = prepare(toys.experiment(architecture=PADNet(size=4, first=first, dropout=0.0), seed=3))
    model = prepared.model
    arrangement: Any = model.train().arrangement
    torch.manual_seed(5)
    for parameter in arrangement.heads.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if first:  # what both kinds of heads read is the same at the beginning, so that their losses are too
        arrangement.first_heads.load_state_dict(arrangement.heads.state_dict())
    objective = Objective(model, prepared.devices)
    if held:
        tasks = prepared.corpus.tasks
        objective.held = {name: Held(Distill(weight=0.7), Same(task.outputs)) for name, task in tasks.items()}  # type: ignore[arg-type]
    found = objective.losses(prepared.feed.next(list(prepared.corpus.tasks)))
    return {name: loss.item() for name, loss in found.items()}


@pytest.mark.parametrize("held", [False, True])
def test_their_losses_come_with_their_weight(toys: Toys, held: bool) -> None:
    plain, both = losses(toys, 0.0, held), losses(toys, 0.5, held)
    assert set(plain) == set(both) == {"mood", "count", "within", "places"}
    for name, loss in plain.items():
        assert both[name] == pytest.approx(1.5 * loss, rel=1e-5)


def test_nobody_answers_early_when_nothing_is_learnt(toys: Toys) -> None:
    prepared = prepare(toys.experiment(architecture=PADNet(size=4, first=0.5)))
    (chunk, *_) = prepared.feed.next(["mood"])
    prepared.model.train()(chunk)
    assert set(prepared.model.arrangement.early) >= {"mood"}
    prepared.model.eval()(chunk)
    assert not prepared.model.arrangement.early
