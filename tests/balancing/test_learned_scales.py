from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests.balancing.stepping import build, slopes, step
from torchjd import scalarization

from motet.balancing.losses.adam import Adam
from motet.balancing.losses.imtl_l import IMTLL
from motet.balancing.losses.learned import LearnedScales, ScaleLearner
from motet.balancing.losses.revised_uncertainty import RevisedUncertainty
from motet.balancing.losses.uncertainty import Uncertainty
from motet.errors import RecipeError

TRACES = [  # losses 2, 1, 4 at a rate of 0.1: worked out by hand from the formulas of the rule and of Adam
    (Uncertainty, [0.5, 0.45241871, 0.42622047]),
    (RevisedUncertainty, [0.5, 0.45241871, 0.42794293]),
    (IMTLL, [1.0, 0.90483742, 0.85244113]),
]
every_rule = pytest.mark.parametrize("rule", [Uncertainty, RevisedUncertainty, IMTLL])


def settle(recipe: LearnedScales, losses: dict[str, float], steps: int = 400) -> dict[str, float]:
    """The scales after many steps on the same losses."""
    balancer = build(recipe)
    assert isinstance(balancer, ScaleLearner)
    for _ in range(steps):
        step(balancer, losses)
    return dict(zip(balancer.tasks, balancer.scales.values.tolist(), strict=True))


@pytest.mark.parametrize(("rule", "expected"), TRACES)
def test_three_steps_by_hand(rule: type[LearnedScales], expected: list[float]) -> None:
    balancer = build(rule(learning_rate=0.1))
    assert [step(balancer, {"a": loss})["a"] for loss in (2.0, 1.0, 4.0)] == pytest.approx(expected, rel=1e-6)


def test_uncertainty_settles_at_the_logarithm_of_the_loss() -> None:
    scales = settle(Uncertainty(learning_rate=0.05), {"a": 0.5, "b": 4.0})
    assert scales == pytest.approx({"a": -0.693147, "b": 1.386294, "c": 0, "d": 0}, abs=1e-3)


def test_imtl_l_makes_every_weighted_loss_1() -> None:
    scales = settle(IMTLL(learning_rate=0.05), {"a": 0.5, "b": 4.0})
    assert scales == pytest.approx({"a": 0.693147, "b": -1.386294, "c": 0, "d": 0}, abs=1e-3)


@pytest.mark.parametrize("loss", [0.02, 1.0, 6.0])
def test_revised_uncertainty_settles_at_its_root(loss: float) -> None:
    variance = (loss + math.sqrt(loss**2 + 8 * loss)) / 4
    assert settle(RevisedUncertainty(learning_rate=0.05), {"a": loss})["a"] == pytest.approx(
        math.log(variance), abs=1e-3
    )


@every_rule
def test_the_floor_bounds_the_weight(rule: type[LearnedScales]) -> None:
    balancer = build(rule(learning_rate=0.1, floor=0.01))
    for _ in range(300):
        found = step(balancer, {"a": 0.0, "b": 0.01})
    assert found["a"] == pytest.approx(found["b"])
    assert found["a"] <= 1.02 / 0.01


@every_rule
def test_a_start_is_where_it_starts(rule: type[LearnedScales]) -> None:
    weight = step(build(rule(start=-0.5)), {"a": 1.0})["a"]
    assert weight == pytest.approx(math.exp(-0.5) if rule is IMTLL else math.exp(0.5) / 2)


@every_rule
def test_an_absent_task_waits(rule: type[LearnedScales]) -> None:
    alone, beside = build(rule()), build(rule())
    for at in range(6):
        step(beside, {"a": 3.0, "b": 2.0} if at % 2 else {"b": 2.0})
    for _ in range(3):
        found = step(alone, {"a": 3.0})
    assert step(beside, {"a": 3.0}) == step(alone, {"a": 3.0}) != found


@pytest.mark.parametrize(("rule", "other"), [(Uncertainty, scalarization.UW), (IMTLL, scalarization.IMTLL)])
def test_like_torchjd_with_torch_adam(rule: type[LearnedScales], other: Callable[[int], torch.nn.Module]) -> None:
    balancer, theirs = build(rule(learning_rate=0.05), "abc"), other(3)
    (scales,) = theirs.parameters()
    optimiser = torch.optim.Adam([scales], lr=0.05)
    losses = torch.tensor([0.3, 2.0, 11.0])
    for _ in range(30):
        found = step(balancer, dict(zip("abc", losses.tolist(), strict=True)))
        torch.testing.assert_close(torch.tensor(list(found.values())), slopes(theirs, losses))
        (scales.grad,) = torch.autograd.grad(theirs(losses), scales)
        optimiser.step()
        losses = losses * torch.tensor([0.95, 1.05, 0.9])


def test_adam_is_that_of_torch() -> None:
    ours = Adam(3, start=0.5, rate=0.02, decay=0.1)
    p = torch.full((3,), 0.5, requires_grad=True)
    theirs = torch.optim.Adam([p], lr=0.02, weight_decay=0.1)
    for seed in range(20):
        p.grad = torch.randn(3, generator=torch.Generator().manual_seed(seed))
        ours.descend(torch.arange(3), p.grad.clone())
        theirs.step()
        torch.testing.assert_close(ours.values, p.detach())


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError) as raised:
        Uncertainty(learning_rate=0, floor=-1, start=50)
    assert [problem.name for problem in raised.value.problems] == ["learning_rate", "floor", "start"]
