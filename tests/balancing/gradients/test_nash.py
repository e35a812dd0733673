from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies
from tests.balancing.gradients.jacobians import CHANGES, friendly, jacobian, jacobians, names
from torch import Tensor
from torchjd.aggregation import FairGradWeighting as Oracle

from motet.balancing.gradients import nash
from motet.balancing.gradients.base import SolverFailed, Weighting
from motet.balancing.gradients.nash import NashMTL, bargain
from motet.errors import RecipeError


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def uncut(rows: Tensor) -> Tensor:
    return NashMTL(max_norm=None).weighting(names(len(rows)))(rows @ rows.T, names(len(rows)))


@pytest.mark.parametrize(
    ("gramian", "expected"),
    [
        ([[4.0, -3.0], [-3.0, 25.0]], tensor(0.597614, 0.239046)),
        ([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]], tensor(0.707107, 0.707107, 0.707107)),
        ([[1.0, -0.4, -0.4], [-0.4, 1.0, -0.4], [-0.4, -0.4, 1.0]], tensor(2.236068, 2.236068, 2.236068)),
        ([[1.0, 0.0, 1.0], [0.0, 4.0, 2.0], [1.0, 2.0, 3.0]], tensor(0.83499962, 0.41749981, 0.36260572)),
        ([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0]], tensor(0.816497, 0.816497, 0.408248)),
        ([[9.0, 9.0], [9.0, 9.0]], tensor(1, 1) / math.sqrt(18)),
        ([[4.0, 0.0], [0.0, 25.0]], tensor(0.5, 0.2)),
    ],
    ids=["two", "three that agree", "three that conflict", "independent", "dependent", "equal", "orthogonal"],
)
def test_closed_forms(gramian: list[list[float]], expected: Tensor) -> None:
    tasks = names(len(gramian))
    found = NashMTL(max_norm=None).weighting(tasks)(torch.tensor(gramian, dtype=torch.float64), tasks)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@given(jacobians(("random", "agreeing", "of six scales", "one small"), fewest=2))
def test_the_equations_hold_exactly(rows: Tensor) -> None:
    weights = uncut(rows)
    update = weights @ rows
    assert (rows @ update > 0).all()
    torch.testing.assert_close(rows @ update * weights, torch.ones(len(rows), dtype=torch.float64), rtol=1e-9, atol=0)
    assert float(update @ update) == pytest.approx(len(rows), rel=1e-9)


@given(friendly())
def test_it_agrees_with_a_general_solver(rows: Tensor) -> None:
    torch.testing.assert_close(uncut(rows), Oracle(alpha=1.0)(rows @ rows.T), rtol=0.01, atol=1e-3)


@given(jacobians(("random", "agreeing", "one small"), fewest=2), strategies.integers(0, 5))
def test_the_update_does_not_depend_on_units(rows: Tensor, task: int) -> None:
    scaled = rows.clone()
    scaled[task % len(rows)] *= 1000
    torch.testing.assert_close(uncut(scaled) @ scaled, uncut(rows) @ rows, rtol=1e-7, atol=1e-9)


@given(jacobians(("random", "conflicting", "of six scales", "two opposite"), fewest=2), strategies.floats(0.01, 100))
def test_the_update_is_no_longer_than_it_may_be(rows: Tensor, longest: float) -> None:
    tasks = names(len(rows))
    weighting = NashMTL(max_norm=longest).weighting(tasks)
    length = float((weighting(rows @ rows.T, tasks) @ rows).norm())
    if int(weighting.fallbacks) == 0:
        assert length == pytest.approx(min(longest, math.sqrt(len(rows))), rel=1e-6)
    assert length <= longest * (1 + 1e-9)


STATIONARY = [
    tensor(1, 0, -3, 0).reshape(2, 2),
    torch.stack([tensor(math.cos(angle), math.sin(angle)) for angle in (0, 2 * math.pi / 3, 4 * math.pi / 3)]),
    jacobian("summing to zero", tasks=6),
]


@pytest.mark.parametrize("rows", STATIONARY, ids=["opposite", "planar", "sum of zero"])
def test_at_a_stationary_point_the_first_weights_are_of_the_mean_of_units(rows: Tensor) -> None:
    tasks = names(len(rows))
    weighting = NashMTL().weighting(tasks)
    torch.testing.assert_close(weighting(rows @ rows.T, tasks), 1 / rows.norm(dim=1) / len(rows))
    assert int(weighting.fallbacks) == 1


def test_at_a_stationary_point_the_last_weights_are_kept() -> None:
    weighting = NashMTL(max_norm=None).weighting(["a", "b", "c"])
    opposite = tensor(1, -1, -1, 1).reshape(2, 2)
    agreed = weighting(torch.diag(tensor(4, 25)), ["c", "a"])
    torch.testing.assert_close(weighting(opposite, ["a", "c"]), agreed.flip(0))
    torch.testing.assert_close(weighting(opposite, ["a", "b"]), tensor(0.5, 0.5))  # b has none yet
    assert int(weighting.fallbacks) == 2


def test_weights_that_are_kept_are_cut_to_the_new_gradients() -> None:
    weighting = NashMTL().weighting(["a", "b"])
    weighting(torch.diag(tensor(1, 1)), ["a", "b"])
    rows = tensor(100, 0, -300, 0).reshape(2, 2)
    assert float((weighting(rows @ rows.T, ["a", "b"]) @ rows).norm()) == pytest.approx(1)


def test_a_zero_gradient_does_not_bargain() -> None:
    rows = jacobian("random", tasks=3)
    found = uncut(torch.cat([torch.zeros_like(rows[:1]), rows]))
    assert found[0] == 0
    torch.testing.assert_close(found[1:], uncut(rows))


@pytest.mark.parametrize("noise", [1e-8, 1e-7, 3e-7])
def test_rounding_at_a_stationary_point_is_no_solution(noise: float) -> None:
    weighting: Weighting = NashMTL().weighting(["a", "b", "c"])
    gramian = STATIONARY[1] @ STATIONARY[1].T - noise * torch.eye(3, dtype=torch.float64)
    assert weighting(gramian, ["a", "b", "c"]).max() < 1
    assert int(weighting.fallbacks) == 1


@pytest.mark.parametrize("tasks", [2, 8, 32])
def test_few_steps_are_enough(tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nash, "_STEPS", 80)
    for kind in CHANGES:
        rows = jacobian(kind, tasks)
        if rows.norm(dim=1).min() > 0:
            units = rows / rows.norm(dim=1, keepdim=True)
            bargain(units @ units.T)


def test_a_solver_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nash, "_STEPS", 1)
    with pytest.raises(SolverFailed, match="1 Newton steps on 3 gradients"):
        uncut(jacobian("random", tasks=3))


@pytest.mark.parametrize("norm", [0.0, -1.0, math.inf, math.nan])
def test_the_greatest_length_is_positive(norm: float) -> None:
    with pytest.raises(RecipeError, match=rf"max_norm = {norm}"):
        NashMTL(max_norm=norm)
