from __future__ import annotations

import pytest
import torch
from tests.balancing.stepping import build, step

from motet.balancing.losses.random_weights import RandomWeights

LOSSES = {"a": 1.0, "b": 2.0, "c": 3.0}


def test_weights_are_a_softmax_of_normal_draws() -> None:
    balancer = build(RandomWeights(seed=4), "abc")
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):
        expected = 3 * torch.softmax(torch.randn(3, generator=generator), dim=0)
        assert list(step(balancer, LOSSES).values()) == pytest.approx(expected.tolist())


def test_weights_change_and_depend_on_the_seed() -> None:
    balancer, other = build(RandomWeights()), build(RandomWeights(seed=1))
    first, second = step(balancer, LOSSES), step(balancer, LOSSES)
    assert first != second
    assert step(other, LOSSES) != first


def test_the_mean_weight_is_1() -> None:
    balancer = build(RandomWeights(), "abc")
    sums = dict.fromkeys(LOSSES, 0.0)
    for _ in range(400):
        sums = {task: sums[task] + weight for task, weight in step(balancer, LOSSES).items()}
    assert [total / 400 for total in sums.values()] == pytest.approx([1, 1, 1], abs=0.12)


def test_it_does_not_touch_the_global_generator() -> None:
    before = torch.get_rng_state()
    step(build(RandomWeights()), LOSSES)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_state_is_not_moved_by_later_steps() -> None:
    balancer = build(RandomWeights())
    step(balancer, LOSSES)
    state = balancer.state_dict()
    kept = state["generator"].clone()
    step(balancer, LOSSES)
    balancer.state_dict()
    assert torch.equal(state["generator"], kept)
