from __future__ import annotations

import pytest
import torch
from hypothesis import given
from tests.balancing.gradients.jacobians import friendly, jacobian, jacobians
from torch import Tensor

from motet.balancing.gradients.geometry import cosines, equal_cosines, lengths, rank, square_root


@given(jacobians())
def test_lengths_and_cosines(rows: Tensor) -> None:
    gramian = rows @ rows.T
    torch.testing.assert_close(lengths(gramian), rows.norm(dim=1))
    found = cosines(gramian)
    assert found.equal(found.T)
    assert found.diagonal().equal(torch.ones(len(rows), dtype=torch.float64))
    moving = rows.norm(dim=1) > 0
    units = rows[moving] / rows[moving].norm(dim=1, keepdim=True)
    torch.testing.assert_close(found[moving][:, moving], units @ units.T, atol=1e-12, rtol=0)
    assert found[~moving][:, moving].count_nonzero() == 0


@given(jacobians())
def test_the_square_root_has_the_same_gramian(rows: Tensor) -> None:
    gramian = rows @ rows.T
    columns = square_root(gramian)
    by = lengths(gramian)
    torch.testing.assert_close(
        columns.T @ columns / by.outer(by), gramian / by.outer(by), atol=1e-9, rtol=0, equal_nan=True
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("random", 4),
        ("dependent", 2),
        ("on one line", 1),
        ("summing to zero", 3),
        ("of six scales", 4),
        ("one zero", 3),
        ("one tiny", 4),
        ("two equal", 3),
        ("two nearly opposite", 3),
    ],
)
def test_rank_sees_directions_not_lengths(kind: str, expected: int) -> None:
    rows = jacobian(kind)
    assert rank(rows @ rows.T) == expected


@given(friendly())
def test_equal_cosines(rows: Tensor) -> None:
    units = rows / rows.norm(dim=1, keepdim=True)
    direction = equal_cosines(rows @ rows.T) @ units
    torch.testing.assert_close(units @ direction, torch.ones(len(rows), dtype=torch.float64), atol=1e-6, rtol=0)


def test_equal_cosines_are_least_squares_of_dependent_gradients() -> None:
    rows = jacobian("dependent", tasks=6)
    units = rows / rows.norm(dim=1, keepdim=True)
    expected = torch.linalg.pinv(units) @ torch.ones(6, dtype=torch.float64)
    torch.testing.assert_close(equal_cosines(rows @ rows.T) @ units, expected)


def test_unit_gradients_that_sum_to_zero_have_no_equal_cosines() -> None:
    angles = torch.arange(3) * 2 * torch.pi / 3
    rows = torch.stack([angles.cos(), angles.sin()], dim=1).double() * torch.tensor([[1.0], [2.0], [5.0]])
    assert equal_cosines(rows @ rows.T).abs().max() < 1e-6
