"""Rewards of streams, held against a copy of the model that takes the step for good."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.training.conftest import Toys
from torch import Tensor
from torch.nn import functional

from motet.data.batches import Chunk
from motet.model import MultiTaskModel
from motet.sampling.multidds import MultiDDS
from motet.training.feed import Feed
from motet.training.objective import Objective
from motet.training.plan import Prepared, prepare
from motet.training.rewards import Rewards

PACE = 0.5


@pytest.fixture(params=["dropout_toys", "shape_toys"])
def prepared(request: pytest.FixtureRequest) -> Prepared:
    toys: Toys = request.getfixturevalue(request.param)
    return prepare(toys.experiment(sampler=MultiDDS(pace=PACE), tokens_per_batch=130))


def live_of(prepared: Prepared) -> tuple[str, ...]:
    return tuple(prepared.corpus.tasks)[:1] + tuple(prepared.corpus.tasks)[2:]


def rewards_of(prepared: Prepared) -> Rewards:
    model = prepared.model
    own = {id(p) for task in prepared.corpus.tasks for p in model.arrangement.own_parameters(task)}
    shared = [p for p in model.parameters() if id(p) not in own]
    return Rewards(model, prepared.devices, prepared.feed, shared)


def backward(model: MultiTaskModel, prepared: Prepared, chunks: Sequence[Chunk]) -> Tensor:
    """Leaves the gradients in the model; those of the encoder as one vector."""
    model.zero_grad()
    losses = Objective(model, prepared.devices).losses(chunks)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    trunk = model.arrangement.trunk.parameters()
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trunk])


def test_rewards_are_cosines_after_a_step(prepared: Prepared) -> None:
    live, feed = live_of(prepared), prepared.feed
    state = json.loads(json.dumps(feed.state()))
    found = rewards_of(prepared)(live)
    again = Feed(prepared.corpus, prepared.experiment, prepared.model.padding())
    again.restore(state)
    validation, expected = again.held_out(live), {}
    for name in again.open(live):
        model = copy.deepcopy(prepared.model).eval()
        mine = backward(model, prepared, again.trial(name, live))
        torch.optim.SGD(model.parameters(), lr=PACE).step()
        needs = backward(model, prepared, validation)
        expected[name] = float(functional.cosine_similarity(mine, needs, dim=0))
    assert found == pytest.approx(expected, abs=1e-4)
    assert len(set(found.values())) == len(found)
    assert again.state() == feed.state()


def test_a_trial_leaves_everything_as_it_was(prepared: Prepared) -> None:
    prepared.model.train()
    weights = {name: value.clone() for name, value in prepared.model.state_dict().items()}
    before, streams = torch.get_rng_state(), prepared.feed.state()["streams"]
    rewards_of(prepared)(live_of(prepared))
    assert prepared.model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, weights[name]) for name, value in prepared.model.state_dict().items())
    assert all(p.grad is None for p in prepared.model.parameters())
    assert prepared.feed.state()["streams"] == streams
    assert set(prepared.feed.taken.values()) == {0}


def test_trials_are_about_as_large_as_steps(prepared: Prepared) -> None:
    live, feed = live_of(prepared), prepared.feed
    rows = round(feed.rows_per_step)
    for name in feed.open(live):
        chunks = feed.trial(name, live)
        assert {task for chunk in chunks for task in chunk.owned} <= set(feed.streams[name].tasks) & set(live)
        assert sum(len(chunk.tokens) for chunk in chunks) >= min(rows, len(feed.streams[name])) / 2
    counts: dict[str, int] = dict.fromkeys(live, 0)
    for chunk in feed.held_out(live):
        for task, owned in chunk.owned.items():
            counts[task] += len(owned.rows)
    assert min(counts.values()) >= max(1, round(rows / len(live)) - 1)


def test_a_stream_that_is_validation_itself_is_rewarded_most(toys: Any) -> None:
    tasks = [task for task in toys.tasks if task.name in ("mood", "within")]
    prepared = prepare(toys.experiment(tasks=tuple(tasks), sampler=MultiDDS(pace=1e-6), tokens_per_batch=3000))
    found = rewards_of(prepared)(["mood"])
    assert set(found) == {"mood"}
    assert found["mood"] > 0.5
