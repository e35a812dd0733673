from __future__ import annotations

import pytest
import torch
from hypothesis import given
from tests.balancing.gradients.jacobians import jacobians
from torch import Tensor

from motet.balancing.gradients import solvers
from motet.balancing.gradients.base import SolverFailed
from motet.balancing.gradients.solvers import multipliers, shortest


@given(jacobians())
def test_the_shortest_average_is_optimal(rows: Tensor) -> None:
    weights = shortest(rows.T)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    found = weights @ rows
    slack = rows @ found - found @ found  # no vertex is on the near side of the plane through it
    assert slack.min() >= -1e-10 * rows.norm(dim=1).max() ** 2


@given(jacobians())
def test_the_projection_opposes_nothing_and_is_nearest(rows: Tensor) -> None:
    vector = -rows.sum(dim=0) + rows[0]
    parts = multipliers(rows.T, vector)
    found = vector + parts @ rows
    size = rows.norm(dim=1) * vector.norm()
    assert (parts >= 0).all()
    assert (rows @ found >= -1e-9 * size).all()
    assert ((parts * (rows @ found)).abs() <= 1e-9 * size * (1 + parts)).all()  # it moved along what it touches alone


def test_a_solver_that_gives_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr(solvers, "nnls", fail)
    with pytest.raises(SolverFailed, match="on 3 gradients: Maximum number"):
        multipliers(torch.eye(3), torch.ones(3))
