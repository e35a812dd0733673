"""Experts with a gate for each task: `mmoe`, `cgc`, `ple`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from torch import Tensor, nn

from motet.architectures.base import Architecture
from motet.architectures.experts import Experts
from motet.architectures.heads import key, pool
from motet.architectures.parallel.cgc import CGC
from motet.architectures.parallel.mmoe import MMoE
from motet.architectures.parallel.ple import PLE
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build

Make = Callable[[Architecture], Any]
KINDS: list[Any] = [MMoE, CGC, PLE]


@pytest.fixture
def make(tiny_encoder: Path) -> Make:
    """Arrangements with weights far from those they begin with."""

    def made(architecture: Architecture) -> Any:
        torch.manual_seed(0)
        model: MultiTaskModel = build(Encoder(str(tiny_encoder)), architecture, TASKS).eval()
        with torch.no_grad():
            for name, p in model.arrangement.named_parameters():
                if not name.startswith("trunk"):
                    p.add_(0.3 * torch.randn_like(p))
        return model.arrangement

    return made


def read_by_heads(arrangement: Any) -> dict[str, Tensor]:
    """What the heads read of a chunk."""
    read = arrangement.trunk(CHUNK.tokens, CHUNK.mask, CHUNK.types)
    found: dict[str, Tensor] = arrangement.every(CHUNK, {task: CHUNK.part(task) for task in TASKS}, read)
    return found


def shared_states(arrangement: Any) -> Tensor:
    states: Tensor = arrangement.trunk(CHUNK.tokens, CHUNK.mask, CHUNK.types).last
    return states


def expert(experts: Experts, number: int, state: Tensor) -> Tensor:
    return state + torch.relu(state @ experts.down[number] + experts.bias[number]) @ experts.up[number]


def gated(gate: Any, state: Tensor, outputs: list[Tensor]) -> Tensor:
    """One token by the formula."""
    scores = torch.exp(gate.linear.weight @ state + gate.linear.bias)
    assert len(scores) == len(outputs)
    weighed = [score / scores.sum() * output for score, output in zip(scores, outputs, strict=True)]
    return torch.stack(weighed).sum(0)


def test_mmoe_token_by_token(make: Make) -> None:
    model = make(MMoE(experts=3, size=4))
    read, states = read_by_heads(model), shared_states(model)
    for task in TASKS:
        for place, row in enumerate(CHUNK.owned[task].rows.tolist()):
            for token in range(int(CHUNK.mask[row].sum())):
                state = states[row, token]
                outputs = [expert(model.experts, number, state) for number in range(3)]
                expected = gated(model.gates[key(task)], state, outputs)
                torch.testing.assert_close(read[task][place, token], expected, atol=1e-5, rtol=1e-5)


def test_mmoe_may_weigh_a_text_as_a_whole(make: Make) -> None:
    model = make(MMoE(experts=3, size=4, gate="text"))
    read, states = read_by_heads(model), shared_states(model)
    pooled = pool(states, CHUNK.mask, "mean")
    row, token = 1, 2
    weights = torch.softmax(model.gates["of_count"].linear(pooled[row]), dim=0)
    expected = sum(weights[number] * expert(model.experts, number, states[row, token]) for number in range(3))
    torch.testing.assert_close(read["count"][0, token], expected, atol=1e-5, rtol=1e-5)


def test_with_one_expert_all_tasks_read_the_same(make: Make) -> None:
    for part in (MMoE(experts=1, size=4), CGC(shared=1, private=0, size=4), PLE(levels=1, shared=1, private=0, size=4)):
        model = make(part)
        read, states = read_by_heads(model), shared_states(model)
        experts = model.experts if isinstance(part, MMoE) else _levels(model)[0].shared
        for task in TASKS:
            expected = experts(states)[CHUNK.owned[task].rows, :, 0]
            torch.testing.assert_close(read[task], expected, atol=1e-6, rtol=1e-6)
            assert not torch.allclose(read[task], states[CHUNK.owned[task].rows], atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_shared_experts_run_once_for_all_tasks(make: Make, kind: Any) -> None:
    model = make(kind(size=4))
    shared = [module for name, module in model.named_modules() if isinstance(module, Experts) and "of_" not in name]
    calls: list[Experts] = []
    forward = Experts.forward

    def counted(experts: Experts, states: Tensor) -> Tensor:
        calls.append(experts)
        return forward(experts, states)

    with patch.object(Experts, "forward", counted):
        model(CHUNK)
    assert [sum(call is experts for call in calls) for experts in shared] == [1] * len(shared)


def test_cgc_token_by_token(make: Make) -> None:
    model = make(CGC(shared=2, private=2, size=4))
    read, states = read_by_heads(model), shared_states(model)
    level = model.level
    for task in TASKS:
        own = level.private[key(task)]
        for place, row in enumerate(CHUNK.owned[task].rows.tolist()):
            state = states[row, 1]
            outputs = [expert(experts, number, state) for experts in (level.shared, own) for number in range(2)]
            expected = gated(level.gates[key(task)], state, outputs)
            torch.testing.assert_close(read[task][place, 1], expected, atol=1e-5, rtol=1e-5)


def test_ple_token_by_token(make: Make) -> None:
    model = make(PLE(levels=3, shared=2, private=1, size=4))
    read, states = read_by_heads(model), shared_states(model)
    row, token = 2, 1
    given, common = dict.fromkeys(TASKS, states[row, token]), states[row, token]
    for number, level in enumerate(_levels(model)):
        shared = [expert(level.shared, at, common) for at in range(2)]
        own = {task: expert(level.private[key(task)], 0, given[task]) for task in TASKS}
        given = {task: gated(level.gates[key(task)], given[task], [*shared, own[task]]) for task in TASKS}
        if number < 2:
            common = gated(model.shared_gates[number], common, [*shared, *own.values()])
    torch.testing.assert_close(read["mood"][2, token], given["mood"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(read["tags"][1, token], given["tags"], atol=1e-4, rtol=1e-4)


def test_ple_with_one_level_is_cgc(make: Make) -> None:
    one, other = make(PLE(levels=1, size=4)), make(CGC(size=4))
    weights = {name.replace("levels.0.", "level."): weight for name, weight in one.state_dict().items()}
    other.load_state_dict(weights)
    found, expected = one(CHUNK), other(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


def test_ple_experts_below_the_top_serve_all_tasks(make: Make) -> None:
    model = make(PLE(levels=2, size=4))
    low, top = _levels(model)
    model(CHUNK)["mood"].square().sum().backward()
    assert low.private["of_tags"].up.grad.any()
    assert top.private["of_tags"].up.grad is None
    assert top.private["of_mood"].up.grad.any()
    own = {id(p) for p in model.own_parameters("tags")}
    assert id(top.private["of_tags"].up) in own
    assert id(low.gates["of_tags"].linear.weight) in own
    assert id(low.private["of_tags"].up) not in own


def test_ple_gates_without_private_experts_are_own_on_every_level(make: Make) -> None:
    model = make(PLE(levels=3, private=0, size=4))
    own = {id(p) for p in model.own_parameters("tags")}
    assert all(id(level.gates["of_tags"].linear.weight) in own for level in _levels(model))
    model(CHUNK)["mood"].square().sum().backward()
    assert all(
        level.gates["of_tags"].linear.weight.grad is None or not level.gates["of_tags"].linear.weight.grad.any()
        for level in _levels(model)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [("size", 0, "size"), ("gate", "word", "gate = word\n    is not known"), ("dropout", 1.0, "below 1")],
)
def test_what_all_refuse(kind: Any, option: str, value: Any, rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        kind(**{option: value})


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (MMoE, "experts", 0),
        (CGC, "shared", 0),
        (CGC, "private", -1),
        (PLE, "shared", 0),
        (PLE, "private", -1),
        (PLE, "levels", 0),
    ],
)
def test_how_many_there_must_be(kind: Any, option: str, value: int) -> None:
    with pytest.raises(RecipeError, match=f"{option} = {value}\n    must be a number of at least"):
        kind(**{option: value})


def _levels(model: Any) -> list[Any]:
    return list(model.levels) if isinstance(getattr(model, "levels", None), nn.ModuleList) else [model.level]
