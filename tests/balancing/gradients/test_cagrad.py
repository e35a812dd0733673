from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, strategies
from scipy.optimize import minimize
from tests.balancing.gradients.jacobians import CHANGES, friendly, jacobian, jacobians, names
from torch import Tensor

from motet.balancing.gradients.cagrad import CAGrad
from motet.balancing.gradients.solvers import shortest
from motet.errors import RecipeError

RADII = strategies.sampled_from([0.1, 0.4, 0.5, 0.9, 1.0, 2.0])


def direction(rows: Tensor, c: float) -> Tensor:
    """The update without its division by 1 + c²."""
    tasks = names(len(rows))
    return CAGrad(c=c).weighting(tasks)(rows @ rows.T, tasks) @ rows * (1 + c**2)


@given(jacobians(tuple(kind for kind in CHANGES if kind not in ("all zero", "one tiny")), fewest=2), RADII)
def test_it_is_optimal_by_duality(rows: Tensor, c: float) -> None:
    """What the worst-off task gains is the least of a function on the simplex, which bounds it from above."""
    mean = rows.mean(dim=0)
    radius = c * mean.norm()
    unit = rows.norm(dim=1).max()
    assume(mean.norm() > 1e-6 * unit)
    found = direction(rows, c)
    assert (found - mean).norm() <= radius * (1 + 1e-6)
    added = CAGrad(c=c).weighting(names(len(rows)))(rows @ rows.T, names(len(rows))) * (1 + c**2) - 1 / len(rows)
    assert (added >= -1e-9 * added.abs().max()).all()
    bounds = [(w := added / added.sum()) @ rows @ mean + radius * (w @ rows).norm()] if added.sum() > 1e-9 else []
    bounds += [(w := shortest(rows.T)) @ rows @ mean + radius * (w @ rows).norm()]
    bounds += [row @ mean + radius * row.norm() for row in rows]
    assert (rows @ found).min() >= min(0, *bounds) - 1e-6 * unit * mean.norm()
    if min(bounds) > 0:
        assert (rows @ found).min() >= min(bounds) * (1 - 1e-5) - 1e-7 * unit * mean.norm()


@given(friendly(), strategies.sampled_from([0.4, 0.5, 0.9]))
def test_it_agrees_with_the_official_formula(rows: Tensor, c: float) -> None:
    gramian, count = (rows @ rows.T).numpy(), len(rows)
    even = np.full(count, 1 / count)
    radius = c * np.sqrt(even @ gramian @ even)

    def objective(w: np.ndarray) -> float:
        return float(w @ gramian @ even + radius * np.sqrt(max(w @ gramian @ w, 0) + 1e-16))

    found = minimize(
        objective,
        even,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: 1 - w.sum()},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    mixed = torch.from_numpy(found.x) @ rows
    assume(mixed.norm() > 1e-2 * rows.norm(dim=1).max())
    expected = rows.mean(dim=0) + radius * mixed / mixed.norm()
    torch.testing.assert_close(direction(rows, c), expected, rtol=1e-3, atol=1e-3 * float(expected.norm()))


@given(jacobians(), strategies.sampled_from([1.0, 1.5, 3.0]))
def test_a_ball_that_reaches_zero_opposes_no_task(rows: Tensor, c: float) -> None:
    found = direction(rows, c)
    size = rows.norm(dim=1) * rows.norm(dim=1).max()
    assert (rows @ found >= -1e-6 * size).all()


@given(jacobians())
def test_without_a_ball_it_is_the_mean(rows: Tensor) -> None:
    if len(rows) > 1:
        torch.testing.assert_close(direction(rows, 0.0), rows.mean(dim=0))


def test_two_by_hand() -> None:
    rows = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(direction(rows, 0.5), torch.full((2,), 0.75, dtype=torch.float64))


@pytest.mark.parametrize("small", [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-8, 1e-12, 0.0])
def test_no_cliff_where_a_gradient_is_small(small: float) -> None:
    rows = jacobian("random", tasks=5)
    rows[0] *= small
    length = direction(rows, 0.5).norm() / rows.mean(dim=0).norm()
    assert 0.5 <= length <= 1.5


def test_a_zero_gradient_leaves_the_mean_where_no_task_is_opposed() -> None:
    rows = jacobian("agreeing", tasks=3).abs()
    rows[0] = 0
    torch.testing.assert_close(direction(rows, 0.5), rows.mean(dim=0))


def test_stationary_gradients_get_the_nearest_update_that_opposes_none() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.1, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(direction(rows, 0.9), torch.tensor([0.0, 4 / 3], dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("c", [-0.1, float("nan"), float("inf")])
def test_the_radius_is_not_negative(c: float) -> None:
    with pytest.raises(RecipeError, match=rf"c = {c}"):
        CAGrad(c=c)
