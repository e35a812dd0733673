from __future__ import annotations

import pytest
import torch

from motet.architectures.experts import Experts, Gate, Gating, weighed


def filled(experts: Experts) -> Experts:
    with torch.no_grad():
        for p in experts.parameters():
            p.normal_()
    return experts


def test_each_expert_is_a_residual_network() -> None:
    torch.manual_seed(0)
    experts, states = filled(Experts(3, 4, 5)), torch.randn(2, 6, 4)
    made = experts(states)
    assert made.shape == (2, 6, 3, 4)
    for number in range(3):
        inner = (states @ experts.down[number] + experts.bias[number]).clamp(min=0)
        expected = states + inner @ experts.up[number]
        torch.testing.assert_close(made[:, :, number], expected)
        torch.testing.assert_close(states + experts.added(number, states), expected)


def test_experts_begin_as_identities_that_differ_in_what_they_learn() -> None:
    torch.manual_seed(0)
    experts, states = Experts(2, 4, 5), torch.randn(6, 4)
    made = experts(states)
    assert torch.equal(made[:, 0], states)
    made.square().sum().backward()
    assert experts.up.grad is not None
    assert experts.up.grad.any()
    assert not torch.allclose(experts.up.grad[0], experts.up.grad[1])


@pytest.mark.parametrize(("gate", "length"), [("token", 3), ("text", 1)])
def test_weights_of_experts_sum_to_one(gate: Gating, length: int) -> None:
    torch.manual_seed(0)
    weights = Gate(4, 5, gate=gate, pooling="mean")(torch.randn(2, 3, 4), torch.ones(2, 3))
    assert weights.shape == (2, length, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, length))
    assert weights.std() > 0


def test_a_gate_over_texts_reads_what_is_pooled() -> None:
    gate, mask = Gate(2, 3, gate="text", pooling="mean"), torch.tensor([[1, 1, 0]])
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [50.0, 60.0]]])
    expected = torch.softmax(gate.linear(torch.tensor([2.0, 4.0])), dim=0)
    torch.testing.assert_close(gate(states, mask)[0, 0], expected)


def test_what_experts_make_is_weighed() -> None:
    made = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    assert weighed(torch.tensor([[[0.5, 0.5], [0.0, 1.0]]]), made).tolist() == [[[2, 3], [7, 8]]]
    assert weighed(torch.tensor([[[1.0, 0.0]]]), made).tolist() == [[[1, 2], [5, 6]]]
