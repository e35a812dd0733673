from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motet.balancing.base import Balancer, Facts
from motet.balancing.losses.sum import Sum

POINT = torch.tensor([1.0, -2.0])


def build() -> Balancer:
    return Sum().build({"a": Facts(), "b": Facts()})


def losses(p: Tensor) -> dict[str, Tensor]:
    return {"a": 3 * p.square().sum(), "b": p[0] * p[1]}


@pytest.mark.parametrize(("learning", "held"), [("ab", ""), ("a", "b"), ("", "ab"), ("b", "")])
def test_the_gradient_is_that_of_the_sum(learning: str, held: str) -> None:
    p = POINT.clone().requires_grad_(True)
    of = losses(p)
    build().backward({task: of[task] for task in learning}, {task: of[task] for task in held})
    by_hand = {"a": 6 * POINT, "b": POINT.flip(0)}
    expected = torch.stack([by_hand[task] for task in learning + held]).sum(dim=0)
    assert p.grad is not None
    torch.testing.assert_close(p.grad, expected)


def test_gradients_add_up_over_batches() -> None:
    p = POINT.clone().requires_grad_(True)
    balancer = build()
    for _ in range(2):
        balancer.backward(losses(p), {})
    assert p.grad is not None
    torch.testing.assert_close(p.grad, 2 * (6 * POINT + POINT.flip(0)))


def test_it_learns_and_remembers_nothing() -> None:
    balancer = build()
    assert list(balancer.parameters()) == []
    assert balancer.state_dict() == {}


def test_it_hears_and_does_nothing_more() -> None:
    balancer = build()
    balancer.begin(step=3, steps=10)
    balancer.observe({"a": 0.5})
    assert not balancer.needs_second_look
    balancer.look_again({"a": torch.tensor(1.0)})
    assert balancer.weights == {}
    assert list(Sum().problems(["a", "b"])) == []
