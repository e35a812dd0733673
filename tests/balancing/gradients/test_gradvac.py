from __future__ import annotations

import pytest
import torch
from hypothesis import given, strategies
from tests.balancing.gradients.jacobians import friendly, jacobian, jacobians, names
from torch import Tensor
from torchjd.aggregation import GradVacWeighting as Oracle

from motet.balancing.gradients.base import Weighting
from motet.balancing.gradients.gradvac import GradVac
from motet.balancing.gradients.orders import Orders
from motet.balancing.gradients.pcgrad import PCGrad
from motet.errors import RecipeError


def pair(cosine: float, long: float = 1.0, other: float = 1.0) -> Tensor:
    return torch.tensor([[long**2, cosine * long * other], [cosine * long * other, other**2]], dtype=torch.float64)


def with_targets(target: float, beta: float = 0.0) -> Weighting:
    weighting = GradVac(beta=beta).weighting(["a", "b"])
    weighting.get_buffer("targets").fill_(target)
    return weighting


@given(
    strategies.floats(-0.99, 0.99),
    strategies.floats(-0.99, 0.99),
    strategies.sampled_from([1e-5, 1.0, 30.0]),
    strategies.sampled_from([1e-5, 1.0, 30.0]),
)
def test_each_gradient_reaches_its_target(cosine: float, target: float, long: float, other: float) -> None:
    gramian = pair(cosine, long, other)
    weights = with_targets(target)(gramian, ["a", "b"])
    for own, by in ((0, 1), (1, 0)):
        # With two tasks, the weight of one is its own 1 and what was added to the other.
        turned = torch.eye(2, dtype=torch.float64)[own] + (weights[by] - 1) * torch.eye(2, dtype=torch.float64)[by]
        reached = (turned @ gramian)[by] / ((turned @ gramian @ turned) * gramian[by, by]).sqrt()
        assert float(reached) == pytest.approx(max(cosine, target), abs=1e-6)


@given(friendly(), strategies.sampled_from([0.0, 0.01, 0.5, 1.0]))
def test_it_is_the_algorithm_on_vectors(rows: Tensor, beta: float) -> None:
    tasks, count = names(len(rows)), len(rows)
    weighting, orders = GradVac(beta=beta, seed=5).weighting(tasks), Orders(count, seed=5)
    targets = [[0.0] * count for _ in rows]
    for step in range(3):
        now = rows + step * rows.roll(1, dims=0)
        total = torch.zeros(now.shape[1], dtype=torch.float64)
        for i, others in enumerate(orders(torch.arange(count)).tolist()):
            turned = now[i]
            for j in others:
                cosine = float(turned @ now[j] / turned.norm() / now[j].norm())
                target = targets[i][j]
                if cosine < target:
                    root, wanted = (1 - cosine**2) ** 0.5, (1 - target**2) ** 0.5
                    turned = (
                        turned + turned.norm() * (target * root - cosine * wanted) / (now[j].norm() * wanted) * now[j]
                    )
                targets[i][j] = (1 - beta) * target + beta * cosine
            total += turned
        torch.testing.assert_close(weighting(now @ now.T, tasks) @ now, total, rtol=1e-5, atol=1e-8)


@given(jacobians(("random", "conflicting"), scales=False), strategies.sampled_from([0.01, 0.5]))
def test_two_tasks_agree_with_torchjd_over_steps(rows: Tensor, beta: float) -> None:
    oracle, weighting = Oracle(beta=beta, eps=0.0), GradVac(beta=beta).weighting(["a", "b"])
    for _ in range(4):
        rows = rows[:2].roll(1, dims=1) if len(rows) > 1 else torch.cat([rows, rows.flip(1)])
        torch.testing.assert_close(weighting(rows @ rows.T, ["a", "b"]), oracle(rows @ rows.T), rtol=1e-6, atol=1e-8)


@given(friendly())
def test_targets_that_stay_zero_are_pcgrad(rows: Tensor) -> None:
    tasks = names(len(rows))
    gramian = rows @ rows.T
    found = GradVac(beta=0.0, seed=2).weighting(tasks)(gramian, tasks)
    torch.testing.assert_close(found, PCGrad(seed=2).weighting(tasks)(gramian, tasks), rtol=1e-6, atol=1e-8)


def test_targets_are_running_means_of_the_pairs_that_were_there() -> None:
    weighting = GradVac(beta=0.25).weighting(["c", "a", "b"])
    weighting(pair(0.8), ["c", "a"])
    weighting(pair(0.4), ["a", "c"])
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[0, 2] = expected[2, 0] = 0.75 * 0.2 + 0.25 * 0.4
    torch.testing.assert_close(weighting.get_buffer("targets"), expected)


def test_equal_gradients_for_ever_end_in_no_explosion() -> None:
    weighting = GradVac().weighting(["a", "b"])
    for _ in range(60):
        weighting(pair(1.0), ["a", "b"])
    assert weighting(pair(-0.5), ["a", "b"]).max() < 40


@pytest.mark.parametrize("kind", ["two opposite", "one zero"])
def test_a_gradient_without_direction_leaves_targets_alone(kind: str) -> None:
    rows = jacobian(kind, tasks=2)
    weighting = GradVac().weighting(["a", "b"])
    weights = weighting(rows @ rows.T, ["a", "b"])
    assert weights.isfinite().all()
    assert float(weighting.get_buffer("targets").abs().max()) == pytest.approx(0.5 if kind == "two opposite" else 0)


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan")])
def test_beta_is_a_share(beta: float) -> None:
    with pytest.raises(RecipeError, match="must be 0 to 1"):
        GradVac(beta=beta)
