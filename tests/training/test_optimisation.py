from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from motet.model import MultiTaskModel, build
from motet.training.experiment import Training
from motet.training.optimisation import Clock, Optimiser, rate


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from(["linear", "cosine", "constant"]), st.floats(0, 1))
def test_the_rate_is_its_closed_form(steps: int, warmup: float, decay: Any, share: float) -> None:
    warm, step = round(warmup * steps), round(share * (steps - 1))
    along = (step - warm) / max(1, steps - warm)
    falling = {"linear": 1 - along, "cosine": math.cos(math.pi * along / 2) ** 2, "constant": 1.0}[decay]
    expected = (step + 1) / warm if step < warm else falling
    training = Training(steps=steps, warmup=warmup, decay=decay)
    assert rate(training, Clock(step, step)) == pytest.approx(expected, abs=1e-12)


def test_a_rewind_takes_the_rate_back_or_not() -> None:
    clock = Clock(physical=60, logical=30, rewound=50)
    back, on, restart = (Training(steps=100, warmup=0.1, rewound=word) for word in ("back", "on", "restart"))
    assert rate(back, clock) == pytest.approx(70 / 90)
    assert rate(on, clock) == pytest.approx(40 / 90)
    assert rate(restart, clock) == pytest.approx(40 / 45)
    assert rate(restart, Clock(52, 22, 50)) == pytest.approx(3 / 5)
    assert [rate(of, Clock(99, 70, 50)) for of in (on, restart)] == pytest.approx([1 / 90, 1 / 45])
    for step in range(100):
        assert rate(back, Clock(step, step)) == rate(on, Clock(step, step)) == rate(restart, Clock(step, step))


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_the_rate_rises_then_falls_and_never_wastes_a_step(decay: Any) -> None:
    training = Training(steps=50, warmup=0.2, decay=decay)
    rates = [rate(training, Clock(step, step)) for step in range(50)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[9] == max(rates) == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert min(rates) > 0
    assert rate(training, Clock(50, 50)) == pytest.approx(0)


@pytest.fixture
def model(toys: Any) -> MultiTaskModel:
    experiment = toys.experiment()
    tasks = {task.name: task for task in experiment.tasks if task.name == "count"}
    return build(experiment.encoder, experiment.architecture, tasks)


def pull(model: MultiTaskModel, optimiser: Optimiser, step: int, size: float = 1.0) -> Tensor:
    """One step on gradients that are drawn from the number of the step."""
    noise = torch.Generator().manual_seed(step)
    for p in model.parameters():
        p.grad = size * torch.randn(p.shape, generator=noise)
    return optimiser.step(Clock(step, step))


def weights(model: MultiTaskModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_only_matrices_decay(model: MultiTaskModel) -> None:
    optimiser = Optimiser(
        model, (), Training(steps=10, warmup=0, learning_rate=0.1, weight_decay=0.5, decay="constant")
    )
    before = weights(model)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step(Clock())
    for name, p in model.named_parameters():
        kept = 1 - 0.1 * 0.5 if p.ndim > 1 else 1.0
        torch.testing.assert_close(p.detach(), kept * before[name], msg=name)


def test_heads_may_have_a_rate_of_their_own(model: MultiTaskModel) -> None:
    extra = nn.Parameter(torch.ones(3))
    extra.grad = torch.ones(3)
    training = Training(
        steps=10, warmup=0, decay="constant", learning_rate=1e-3, head_learning_rate=1e-2, weight_decay=0, clip=None
    )
    before = weights(model)
    pull(model, Optimiser(model, [extra], training), 0)
    trunk = {f"arrangement.trunk.{name}" for name, _ in model.arrangement.trunk.named_parameters()}
    for name, p in model.named_parameters():  # the first step of Adam is as long as its rate
        expected = 1e-3 if name in trunk else 1e-2
        assert float((p.detach() - before[name]).abs().max()) == pytest.approx(expected, rel=1e-3), name
    assert extra.tolist() == pytest.approx([0.99] * 3)


def test_frozen_parameters_are_left_alone(model: MultiTaskModel) -> None:
    frozen = model.arrangement.trunk.embeddings.weight
    frozen.requires_grad_(False)
    assert all(p is not frozen for p in Optimiser(model, (), Training()).parameters)


@pytest.mark.parametrize(("clip", "scale"), [(1.0, 1e6), (None, 1e6), (1e9, 1.0)])
def test_the_length_told_is_that_before_clipping(model: MultiTaskModel, clip: float | None, scale: float) -> None:
    told = pull(model, Optimiser(model, (), Training(clip=clip)), 0, scale)
    length = math.sqrt(sum(p.numel() for p in model.parameters()))
    assert float(told) == pytest.approx(scale * length, rel=0.05)


def test_a_long_gradient_is_clipped(model: MultiTaskModel) -> None:
    pull(model, Optimiser(model, (), Training(clip=0.5)), 0, 1e3)
    after = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert after == pytest.approx(0.5, rel=1e-3)


def test_restored_moments_go_on_exactly(model: MultiTaskModel) -> None:
    training = Training(steps=20, learning_rate=1e-2, head_learning_rate=1e-3)
    optimiser = Optimiser(model, (), training)
    for step in range(3):
        pull(model, optimiser, step)
    moments = {name: value.clone() for name, value in optimiser.tensors().items()}
    start = weights(model)
    for step in range(3, 6):
        pull(model, optimiser, step)
    expected = weights(model)

    def again(moments: dict[str, Tensor]) -> dict[str, Tensor]:
        model.load_state_dict(start)
        fresh = Optimiser(model, (), training)
        fresh.restore(moments)
        for step in range(3, 6):
            pull(model, fresh, step)
        return weights(model)

    exact = again(moments)
    assert all(torch.equal(exact[name], value) for name, value in expected.items())
    afresh = again({})
    assert not all(torch.equal(afresh[name], value) for name, value in expected.items())


def test_moments_of_nothing_are_none(model: MultiTaskModel) -> None:
    optimiser = Optimiser(model, (), Training())
    assert optimiser.tensors() == {}
    pull(model, optimiser, 0)
    assert len(optimiser.tensors()) == 3 * len(optimiser.parameters)
    optimiser.restore({})
    assert optimiser.tensors() == {}
    optimiser.zero()
    assert all(p.grad is None for p in model.parameters())
