"""mmd, cmd, kl and orthogonality, against closed forms and formulas written another way."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from motet.balancing.regularisers.cmd import CMD, cmd
from motet.balancing.regularisers.kl import divergence
from motet.balancing.regularisers.mmd import MMD, mmd
from motet.balancing.regularisers.orthogonality import Orthogonality, overlap
from motet.balancing.regularisers.vectors import directions, squared_distances
from motet.errors import RecipeError

SCALES = (0.5, 2.0)


def samples(seed: int, one: int = 4, other: int = 6, width: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(one, width, dtype=torch.float64, generator=generator)
    second = 0.5 + 2 * torch.randn(other, width, dtype=torch.float64, generator=generator)
    return first, second


def slow_mmd(one: Tensor, other: Tensor) -> float:
    """Row by row, in plain numbers."""
    first, second = one.tolist(), other.tolist()
    every = first + second
    width = sum(math.dist(x, y) ** 2 for x, y in itertools.product(every, every)) / len(every) ** 2

    def mean(xs: list[list[float]], ys: list[list[float]]) -> float:
        kernels = [math.exp(-(math.dist(x, y) ** 2) / (s * width)) for x in xs for y in ys for s in SCALES]
        return sum(kernels) / len(kernels)

    return mean(first, first) + mean(second, second) - 2 * mean(first, second)


@given(seed=st.integers(0, 99), one=st.integers(2, 5), other=st.integers(2, 7))
def test_mmd_is_that_of_plain_numbers(seed: int, one: int, other: int) -> None:
    first, second = samples(seed, one, other)
    found = mmd(first, second, SCALES).item()
    assert found == pytest.approx(slow_mmd(first, second), abs=1e-10)
    assert found >= 0
    assert found == pytest.approx(mmd(second, first, SCALES).item(), abs=1e-12)


def test_mmd_of_two_points_in_closed_form() -> None:
    one, other = torch.zeros(2, 1), torch.ones(2, 1)  # mean squared distance 1/2
    assert mmd(one, other, (1.0,)).item() == pytest.approx(2 - 2 * math.exp(-2))


def test_mmd_knows_no_units() -> None:
    one, other = samples(3)
    assert mmd(1e3 * one + 5, 1e3 * other + 5, SCALES).item() == pytest.approx(mmd(one, other, SCALES).item())


def test_mmd_brings_samples_together() -> None:
    one, other = samples(5, 20, 20)
    moving = one.clone().requires_grad_()
    adam = torch.optim.Adam([moving], lr=0.05)
    before = mmd(one, other, SCALES).item()
    for _ in range(100):
        adam.zero_grad()
        mmd(moving, other, SCALES).backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert mmd(moving.detach(), other, SCALES).item() < 0.1 * before


def test_scales_of_mmd_are_checked() -> None:
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(RecipeError, match="scales"):
            MMD(scales=scales)


@given(seed=st.integers(0, 99), moments=st.integers(1, 6))
def test_cmd_has_the_moments_of_numpy(seed: int, moments: int) -> None:
    one, other = (torch.tanh(rows).numpy() for rows in samples(seed))
    expected = np.linalg.norm(one.mean(0) - other.mean(0)) / 2
    for k in range(2, moments + 1):
        first, second = (((rows - rows.mean(0)) ** k).mean(0) for rows in (one, other))
        expected += np.linalg.norm(first - second) / 2**k
    found = CMD(moments=moments).distance(*samples(seed))
    assert found.item() == pytest.approx(expected)


def test_cmd_in_closed_form() -> None:
    one, other = torch.tensor([[0.5], [-0.5]]), torch.tensor([[0.0], [0.0]])
    assert cmd(one, other, 1).item() == 0
    assert cmd(one, other, 2).item() == pytest.approx(0.25 / 4)
    assert cmd(one, other, 4).item() == pytest.approx(0.25 / 4 + 0.0625 / 16)


def test_moments_of_cmd_are_checked() -> None:
    with pytest.raises(RecipeError, match="moments"):
        CMD(moments=0)


@given(seed=st.integers(0, 99))
def test_kl_is_that_of_two_categorical_distributions(seed: int) -> None:
    one, other = samples(seed)
    p, q = (Categorical(logits=rows.mean(dim=0)) for rows in (one, other))
    both = kl_divergence(p, q) + kl_divergence(q, p)
    assert divergence(one, other).item() == pytest.approx(both.item())


def test_kl_of_states_far_apart_is_finite() -> None:
    one, other = torch.tensor([[1e4, 0.0]] * 2), torch.tensor([[0.0, 1e4]] * 2)
    assert divergence(one, other).item() == pytest.approx(2e4)


def test_orthogonality_is_the_mean_squared_cosine_of_centred_rows() -> None:
    one, other = samples(7)
    found = Orthogonality(tasks=(("a", "b"),)).distance(one, other).item()
    first, second = one - one.mean(dim=0), other - other.mean(dim=0)
    cosines = [torch.cosine_similarity(x, y, dim=0).item() for x in first for y in second]
    assert found == pytest.approx(sum(c**2 for c in cosines) / len(cosines))


def test_rows_in_different_directions_are_orthogonal() -> None:
    one, other = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.0, 4.0]])
    assert Orthogonality(tasks=(("a", "b"),)).distance(one, other).item() == 0
    assert Orthogonality(tasks=(("a", "b"),)).distance(one, one).item() == pytest.approx(1)


def test_overlap_is_a_squared_frobenius_norm() -> None:
    one, other = samples(2, 5, 5)
    assert overlap(one, other[:, :2]).item() == pytest.approx(
        torch.linalg.matrix_norm(one.T @ other[:, :2]).item() ** 2
    )


def test_directions_have_length_1_or_none() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-20, 0.0]], dtype=torch.float64, requires_grad=True)
    found = directions(rows)
    assert found.tolist() == [pytest.approx([0.6, 0.8]), [0, 0], pytest.approx([1, 0])]
    found[1].sum().backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert rows.grad.tolist()[1] == [0, 0]


def test_distances_are_never_below_zero() -> None:
    rows = 1e3 + torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    found = squared_distances(rows, rows)
    assert found.min() >= 0
    torch.testing.assert_close(found, torch.cdist(rows, rows).square(), atol=5.0, rtol=0.1)
