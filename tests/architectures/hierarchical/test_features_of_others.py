"""Tasks that read features of each other: `task_attention`, `pad_net`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from torch import Tensor

from motet.architectures.hierarchical.pad_net import PADNet
from motet.architectures.hierarchical.task_attention import TaskAttention
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import build

NAMES = list(TASKS)
KINDS: list[Any] = [TaskAttention, PADNet]


@pytest.fixture
def make(tiny_encoder: Path) -> Any:
    """Arrangements with weights far from those they begin with."""

    def made(architecture: Any, names: list[str] = NAMES) -> Any:
        torch.manual_seed(0)
        tasks = {name: TASKS[name] for name in names}
        model = build(Encoder(str(tiny_encoder)), architecture, tasks).eval()
        with torch.no_grad():
            for name, p in model.arrangement.named_parameters():
                if not name.startswith("trunk"):
                    p.add_(0.3 * torch.randn_like(p))
        return model.arrangement

    return made


def read_by_heads(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The states that all tasks share, and what the heads read."""
    read = model.trunk(CHUNK.tokens, CHUNK.mask, CHUNK.types)
    return read.last, model.every(CHUNK, {task: CHUNK.part(task) for task in TASKS}, read)


def test_a_task_asks_with_its_own_feature(make: Any) -> None:
    model = make(TaskAttention(size=4))
    states, read = read_by_heads(model)
    for number, task in enumerate(NAMES):
        state, look = states[CHUNK.owned[task].rows[-1], 1], model.looks[f"of_{task}"]
        features = (model.features.weight @ state + model.features.bias).view(3, 4)
        asked = look.query.weight @ features[number] + look.query.bias
        weights = torch.exp(features @ asked / 2)
        context = sum(weights[other] / weights.sum() * features[other] for other in range(3))
        expected = state + torch.tanh(look.gate) * (look.output.weight @ context + look.output.bias)
        torch.testing.assert_close(read[task][-1, 1], expected, atol=1e-5, rtol=1e-5)


def test_a_closed_look_opens_by_its_gradient(make: Any) -> None:
    model = make(TaskAttention(size=4))
    look = model.looks["of_mood"]
    with torch.no_grad():
        look.gate.zero_()
    states, read = read_by_heads(model)
    assert torch.equal(read["mood"], states[:3])
    model(CHUNK)["mood"].square().sum().backward()
    assert look.gate.grad.any()
    assert not look.output.weight.grad.any()


def test_features_are_refined_through_gates(make: Any) -> None:
    model = make(PADNet(size=4))
    states, read = read_by_heads(model)
    bank = model.features
    for number, task in enumerate(NAMES):
        state, refinement = states[CHUNK.owned[task].rows[-1], 1], model.refinements[f"of_{task}"]
        features = [state + torch.relu(state @ bank.down[at] + bank.bias[at]) @ bank.up[at] for at in range(len(NAMES))]
        expected = features[number]
        for place, other in enumerate(at for at in range(3) if at != number):
            gate, value = refinement.gates[place], refinement.values[place]
            opened = 1 / (1 + torch.exp(-(gate.weight @ features[number] + gate.bias)))
            expected = expected + opened * (value.weight @ features[other])
        torch.testing.assert_close(read[task][-1, 1], expected, atol=1e-4, rtol=1e-4)


def test_with_closed_gates_heads_are_independent(make: Any) -> None:
    model = make(PADNet(size=4))
    model(CHUNK)["mood"].square().sum().backward()
    assert all(model.features.up.grad[at].any() for at in range(3))
    model.zero_grad()
    with torch.no_grad():
        for refinement in model.refinements.children():
            for gate in refinement.gates:
                gate.weight.zero_()
                gate.bias.fill_(-200.0)
    states, read = read_by_heads(model)
    features = model.features(states)
    for number, task in enumerate(NAMES):
        torch.testing.assert_close(read[task], features[CHUNK.owned[task].rows, :, number])
    model(CHUNK)["count"].square().sum().backward()
    assert [bool(model.features.up.grad[at].any()) for at in range(3)] == [False, True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_shared_parameters(make: Any, kind: Any) -> None:
    model = make(kind(size=4))
    own = {id(p) for task in TASKS for p in model.own_parameters(task)}
    assert not {id(p) for p in model.features.parameters()} & own


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_task_has_only_its_own_feature(make: Any, kind: Any) -> None:
    model = make(kind(size=4), ["mood"])
    assert model(CHUNK.part("mood"))["mood"].shape == (3, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("option", "value"), [("size", 0), ("dropout", 1.0)])
def test_options_out_of_range(kind: Any, option: str, value: float) -> None:
    with pytest.raises(RecipeError, match=option):
        kind(**{option: value})
