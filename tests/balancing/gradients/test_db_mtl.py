from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, strategies
from tests.balancing.gradients.jacobians import WIDTH, friendly, jacobian, names
from torch import Tensor

from motet.balancing.gradients.conflict_free import ConFIG
from motet.balancing.gradients.db_mtl import DBMTL
from motet.balancing.gradients.rules import Combining, SolverFailed
from motet.errors import RecipeError

FLOOR = 1e-8


def rule_for(part: DBMTL, tasks: list[str], columns: int = WIDTH) -> Combining:
    rule = part.weighting(tasks)
    rule.attach(columns)
    return rule


def test_three_steps_by_hand() -> None:
    rule = rule_for(DBMTL(beta=0.5, sigma=1.0, floor=1e-30), ["a", "b"], 2)
    # Gradients over losses: (2, 0) and (0, 1).
    update = rule(torch.tensor([[4.0, 0.0], [0.0, 0.5]]), ["a", "b"], torch.tensor([2.0, 0.5]))
    # Half of the means at zero stays: (1, 0) and (0, 0.5), both made 1 long.
    torch.testing.assert_close(update, torch.tensor([1.0, 1.0]))
    # Only b, whose second step it is, so that a quarter stays: (0, 0.25 * 0.5 + 0.75 * 2).
    update = rule(torch.tensor([[0.0, 2.0]]), ["b"], torch.tensor([1.0]))
    torch.testing.assert_close(update, torch.tensor([0.0, 1.625]))
    # a has a quarter of (1, 0) and three quarters of (0, 4), b a sixth of (0, 1.625) and five sixths of (-3, 0).
    update = rule(torch.tensor([[-3.0, 0.0], [0.0, 4.0]]), ["b", "a"], torch.tensor([1.0, 1.0]))
    a, b = torch.tensor([0.25, 3.0]), torch.tensor([-2.5, 1.625 / 6])
    torch.testing.assert_close(update, a + b / b.norm() * a.norm())


@given(friendly(), strategies.sampled_from([0.0, 0.5, 0.9]), strategies.sampled_from([0.0, 0.5]))
def test_it_is_the_algorithm_on_vectors(rows: Tensor, beta: float, sigma: float) -> None:
    tasks, losses = names(len(rows)), torch.arange(1, len(rows) + 1) / 2
    rule = rule_for(DBMTL(beta=beta, sigma=sigma), tasks)
    means = torch.zeros_like(rows)
    for step in range(1, 5):
        rows = rows.roll(1, dims=1)
        logs = rows / (losses[:, None] + FLOOR)
        means = logs + beta / step**sigma * (means - logs)
        lengths = means.norm(dim=1)
        expected = (lengths.max() / (lengths + FLOOR)) @ means
        found = rule(rows.float(), tasks, losses)
        torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4 * float(lengths.max()))


@given(friendly(), strategies.sampled_from([1e-6, 1.0, 1e6]))
def test_the_units_of_losses_do_not_matter(rows: Tensor, unit: float) -> None:
    tasks = names(len(rows))
    units = torch.logspace(0, 1, len(rows), dtype=rows.dtype) * unit
    expected = rule_for(DBMTL(floor=1e-30), tasks)(rows.float(), tasks, torch.ones(len(rows)))
    found = rule_for(DBMTL(floor=1e-30), tasks)((units[:, None] * rows).float(), tasks, units)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.norm()))


def test_of_orthogonal_gradients_all_are_followed_alike() -> None:
    rows = torch.diag(torch.tensor([1e-3, 1.0, 1e3]))
    update = rule_for(DBMTL(beta=0.0, floor=1e-30), names(3), 3)(rows.clone(), names(3), torch.ones(3))
    torch.testing.assert_close(update, torch.full((3,), 1e3))
    double = rows.double()
    weights = ConFIG().weighting(names(3))(double @ double.T, names(3))
    torch.testing.assert_close(update / update.norm(), (weights @ double / (weights @ double).norm()).float())


def test_lengths_too_far_apart_for_single_precision_are_made_equal() -> None:
    rows = torch.tensor([[1e-30, 0.0], [0.0, 1e15]])
    update = rule_for(DBMTL(beta=0.0), ["a", "b"], 2)(rows, ["a", "b"], torch.ones(2))
    torch.testing.assert_close(update, torch.tensor([1e15, 1e15]))


def test_a_zero_gradient_moves_nothing_and_stops_nothing() -> None:
    rule = rule_for(DBMTL(beta=0.0, floor=1e-30), names(2))
    rows = jacobian("one zero", 2).float()
    torch.testing.assert_close(rule(rows.clone(), names(2), torch.ones(2)), rows[1])
    zero = torch.zeros(2, WIDTH)
    assert not rule(zero, names(2), torch.ones(2)).any()


@pytest.mark.parametrize("loss", [-1.0, float("nan"), float("inf")])
def test_a_loss_without_logarithm_is_named(loss: float) -> None:
    with pytest.raises(SolverFailed, match="the loss of b is negative or not finite"):
        rule_for(DBMTL(), names(2))(jacobian("random", 2).float(), names(2), torch.tensor([1.0, loss]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1.0}, "beta = 1.0"),
        ({"beta": -0.1}, "at least 0 and below 1"),
        ({"sigma": -1.0}, "sigma = -1.0"),
        ({"floor": 0.0}, "floor = 0.0"),
        ({"where": "representation"}, "must be `shared`"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        DBMTL(**options)
