from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from tests.encoders.tiny import make

from motet.architectures.heads import pool
from motet.architectures.parallel.gated_fusion import Gate, GatedFusion
from motet.encoders.layers import borrowed


def built() -> Any:
    arrangement = GatedFusion(shared_layers=1).build(make("bert"), TASKS).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return arrangement


def test_a_gate_is_its_formula() -> None:
    torch.manual_seed(1)
    gate, one, other = Gate(3), torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    found = gate(one, other)
    for row in range(2):
        for place in range(4):
            a, b = one[row, place], other[row, place]
            g = torch.sigmoid(gate.linear.weight[:, :3] @ a + gate.linear.weight[:, 3:] @ b + gate.linear.bias)
            torch.testing.assert_close(found[row, place], g * a + (1 - g) * b)


@pytest.mark.parametrize(("bias", "which"), [(100.0, "private"), (-100.0, "shared")])
def test_an_open_gate_gives_one_of_the_two(bias: float, which: str) -> None:
    arrangement = built()
    trunk, own = arrangement.trunk, CHUNK.owned["mood"]
    with torch.no_grad():
        arrangement.gates["of_mood"].linear.bias.fill_(bias)
    states = trunk(CHUNK.tokens, CHUNK.mask).last
    with borrowed(trunk, list(arrangement.columns.stack("mood")), 1):
        states = trunk(CHUNK.tokens, CHUNK.mask).last if which == "private" else states
    expected = arrangement.heads["of_mood"].linear(pool(states, CHUNK.mask, "mean")[own.rows])
    torch.testing.assert_close(arrangement(CHUNK)["mood"], expected, atol=1e-5, rtol=1e-5)


def test_a_task_has_a_gate_and_a_column_of_its_own() -> None:
    arrangement = built()
    for task in TASKS:
        own = {id(p) for p in arrangement.own_parameters(task)}
        parts = (arrangement.columns.of(task), arrangement.gates["of_" + task].parameters(), arrangement.heads.of(task))
        assert own == {id(p) for part in parts for p in part}


def test_mixed_precision_loses_no_type() -> None:
    arrangement = built()
    with torch.autocast("cpu", torch.bfloat16):
        found = arrangement(CHUNK)
    for task, expected in arrangement(CHUNK).items():
        torch.testing.assert_close(found[task].float(), expected, atol=0.1, rtol=0.1)
