from __future__ import annotations

import math

import pytest
import torch

from motet.architectures.adversarial.reversal import ramp, reverse


@pytest.mark.parametrize("strength", [0.25, 1.0, 3.0])
def test_states_pass_and_their_gradient_turns_round(strength: float) -> None:
    torch.manual_seed(0)
    below, above, states = torch.randn(4, 3), torch.randn(2, 4), torch.randn(5, 3)
    gradients: list[list[torch.Tensor]] = []
    for passing in (lambda read: read, lambda read: reverse(read, strength)):
        weights = [below.clone().requires_grad_(), above.clone().requires_grad_()]
        read = (states @ weights[0].T).tanh()
        said = passing(read)
        assert torch.equal(said, read)
        (said @ weights[1].T).square().sum().backward()
        gradients.append([weight.grad for weight in weights if weight.grad is not None])
    (plain_below, plain_above), (turned_below, turned_above) = gradients
    torch.testing.assert_close(turned_below, -strength * plain_below, rtol=1e-6, atol=1e-6)
    assert torch.equal(turned_above, plain_above)


def test_nothing_goes_back_at_strength_zero() -> None:
    assert not reverse(torch.ones(2, requires_grad=True), 0.0).requires_grad


def test_the_ramp_rises_from_nothing_to_full_strength() -> None:
    rise = [ramp(at / 10, 10.0) for at in range(11)]
    assert rise[0] == 0
    assert rise == sorted(rise)
    assert rise[10] == pytest.approx(1, abs=1e-4)
    assert rise[3] == pytest.approx(math.tanh(1.5))  # the same curve by another name
    assert ramp(0.3, 2.0) < rise[3]
