from __future__ import annotations

import pytest
import torch
from tests.balancing.stepping import build, slopes, step, values
from torchjd import scalarization

from motet.balancing.losses.famo import FAMO
from motet.errors import RecipeError


def test_three_steps_by_hand() -> None:
    # z = (1/2, 1/2) and c = 1.6 at first; the rest worked out from the formulas of the paper and of Adam.
    balancer = build(FAMO(), "ab")
    assert balancer.needs_second_look
    assert step(balancer, {"a": 1, "b": 4}) == pytest.approx({"a": 1.6, "b": 0.4})
    balancer.look_again(values(a=0.5, b=4))
    assert step(balancer, {"a": 0.5, "b": 4}) == pytest.approx({"a": 1.7677075, "b": 0.2322925}, rel=1e-5)
    balancer.look_again(values(a=0.4, b=2))
    assert step(balancer, {"a": 0.4, "b": 2}) == pytest.approx({"a": 1.6505755, "b": 0.3494245}, rel=1e-5)


def test_like_torchjd() -> None:
    balancer, theirs = build(FAMO(), "abc"), scalarization.FAMO(3)
    losses = torch.tensor([0.5, 2.0, 8.0])
    for at in range(25):
        found = step(balancer, dict(zip("abc", losses.tolist(), strict=True)))
        expected = slopes(theirs, losses)
        torch.testing.assert_close(torch.tensor(list(found.values())), 3 * expected, rtol=1e-4, atol=1e-6)
        losses = losses * torch.tensor([0.9, 0.97, 1.1 if at % 3 else 0.6])
        balancer.look_again(dict(zip("abc", losses, strict=True)))
        theirs.update(losses)


def test_the_faster_task_loses_weight() -> None:
    balancer = build(FAMO(), "ab")
    first = step(balancer, {"a": 1, "b": 1})
    balancer.look_again(values(a=0.5, b=0.9))
    second = step(balancer, {"a": 1, "b": 1})
    assert second["a"] < first["a"] < second["b"]


def test_absent_tasks_keep_their_scores() -> None:
    balancer = build(FAMO(), "abc")
    step(balancer, {"a": 1, "b": 1, "c": 1})
    balancer.look_again(values(a=0.5, b=0.9, c=1))
    before = balancer.state_dict()["scores.values"].clone()
    step(balancer, {"a": 1, "b": 1})
    balancer.look_again(values(a=0.5, b=0.9, c=0.1))  # the second look is wider than the step was
    after = balancer.state_dict()["scores.values"]
    assert after[2] == before[2]
    assert (after[:2] != before[:2]).all()


def test_a_second_look_without_a_first_does_nothing() -> None:
    balancer = build(FAMO(), "ab")
    balancer.look_again(values(a=1))
    assert not balancer.state_dict()["scores.values"].any()


def test_the_floor_keeps_a_small_loss_from_taking_everything() -> None:
    losses = {"a": 1, "b": 1e-4, "c": 2}
    assert step(build(FAMO()), losses)["b"] / 3 > 0.9998
    assert step(build(FAMO(floor=0.5)), losses)["b"] / 3 < 0.7


def test_negative_losses_are_refused() -> None:
    balancer = build(FAMO())
    with pytest.raises(RuntimeError, match="the loss of b is negative"):
        step(balancer, {"a": 1, "b": -1e-3})
    step(balancer, {"a": 1, "b": 1})
    with pytest.raises(RuntimeError, match="the loss of a is negative"):
        balancer.look_again(values(a=-1, b=1))


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError) as raised:
        FAMO(learning_rate=0, decay=-1, floor=0)
    assert [problem.name for problem in raised.value.problems] == ["learning_rate", "floor", "decay"]
