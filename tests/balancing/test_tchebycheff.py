from __future__ import annotations

import pytest
import torch
from tests.balancing.stepping import build, slopes, step
from torchjd.scalarization import STCH

from motet.balancing.losses.smooth_tchebycheff import SmoothTchebycheff
from motet.balancing.losses.tchebycheff import Tchebycheff
from motet.errors import RecipeError


def test_three_steps_by_hand() -> None:
    balancer = build(Tchebycheff(), "ab")
    # Means 1 and 4: w = 2 (4, 1) / 5. Both are exactly at their means, so they share.
    assert step(balancer, {"a": 1, "b": 4}) == pytest.approx({"a": 0.8, "b": 0.2})
    # Means 2 and 3: a is at 3/2 of its mean, b at 2/3. w = 2 (3, 2) / 5.
    assert step(balancer, {"a": 3, "b": 2}) == pytest.approx({"a": 1.2, "b": 0})
    # Means 2 and 4: b is at 6/4. w = 2 (2, 1) / 3.
    assert step(balancer, {"a": 2, "b": 6}) == pytest.approx({"a": 0, "b": 2 / 3})


def test_a_window_forgets() -> None:
    balancer = build(Tchebycheff(window=2), "a")
    for loss in (8.0, 4.0, 4.0, 4.0):
        step(balancer, {"a": loss})
    assert balancer.state_dict()["means"].tolist() == [4.5]  # 8, 6, 5, 4.5


def test_a_task_of_zero_loss_slows_the_others() -> None:
    found = step(build(Tchebycheff()), {"a": 0.0, "b": 1.0})
    assert found["a"] == 0
    assert 0 < found["b"] < 1e-6


def test_the_smooth_maximum_by_hand() -> None:
    balancer = build(SmoothTchebycheff(warmup=2), "ab")
    # Nadirs 1 and 4, then 2 and 3 for good; shares by softmax of loss over nadir.
    assert step(balancer, {"a": 1, "b": 4}) == pytest.approx({"a": 1, "b": 0.25})
    share = torch.softmax(torch.tensor([3 / 2, 2 / 3]), dim=0).tolist()
    assert step(balancer, {"a": 3, "b": 2}) == pytest.approx({"a": share[0], "b": 2 / 3 * share[1]})
    share = torch.softmax(torch.tensor([10 / 2, 3 / 3]), dim=0).tolist()
    assert step(balancer, {"a": 10, "b": 3}) == pytest.approx({"a": share[0], "b": 2 / 3 * share[1]})


@pytest.mark.parametrize("mu", [0.01, 0.3, 5.0])
def test_like_torchjd(mu: float) -> None:
    balancer = build(SmoothTchebycheff(mu=mu, warmup=1), "abc")
    nadirs = torch.tensor([0.5, 2.0, 8.0])
    theirs = STCH(mu, weights=1 / nadirs)
    for losses in (nadirs, torch.tensor([0.4, 1.9, 7.0]), torch.tensor([1.0, 0.0, 1e6])):
        expected = slopes(theirs, losses)
        found = step(balancer, dict(zip("abc", losses.tolist(), strict=True)))
        torch.testing.assert_close(torch.tensor(list(found.values())), 3 * expected, rtol=1e-4, atol=1e-6)


def test_near_0_the_smooth_maximum_is_the_maximum() -> None:
    losses = [{"a": 1, "b": 4}, {"a": 3, "b": 2}]
    smooth, sharp = build(SmoothTchebycheff(mu=1e-3)), build(Tchebycheff())
    for step_losses in losses:
        found, expected = step(smooth, step_losses), step(sharp, step_losses)
    assert found["b"] == expected["b"] == 0
    assert found["a"] > 0 < expected["a"]


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError, match="window = 0"):
        Tchebycheff(window=0)
    with pytest.raises(RecipeError) as raised:
        SmoothTchebycheff(mu=-1, warmup=0)
    assert [problem.name for problem in raised.value.problems] == ["mu", "warmup"]
