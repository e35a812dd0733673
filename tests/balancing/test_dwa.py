from __future__ import annotations

import math

import pytest
import torch
from tests.balancing.stepping import build, slopes, step
from torchjd import scalarization

from motet.balancing.losses.dwa import DWA
from motet.errors import RecipeError


def test_known_values() -> None:
    balancer = build(DWA(every=1), "ab")
    assert step(balancer, {"a": 1, "b": 1}) == {"a": 1, "b": 1}
    assert step(balancer, {"a": 1, "b": 0.5}) == {"a": 1, "b": 1}
    assert step(balancer, {"a": 9, "b": 9}) == pytest.approx({"a": 1.124353, "b": 0.875647}, abs=1e-6)


def test_windows_by_hand() -> None:
    balancer = build(DWA(every=2, temperature=1), "ab")
    losses = [(4, 1), (2, 3), (1, 1), (2, 1), (5, 5), (5, 5), (8, 1)]
    found = [step(balancer, {"a": a, "b": b}) for a, b in losses]
    assert found[:4] == [{"a": 1, "b": 1}] * 4  # two windows, with means (3, 2) and (1.5, 1)
    assert found[4] == found[5] == pytest.approx({"a": 1, "b": 1})  # both halved
    a, b = math.exp(5 / 1.5), math.exp(5 / 1)  # the third window has means (5, 5)
    assert found[6] == pytest.approx({"a": 2 * a / (a + b), "b": 2 * b / (a + b)})


def test_a_window_counts_the_steps_that_a_task_was_there() -> None:
    balancer = build(DWA(every=2), "ab")
    for losses in ({"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 0.5}, {"a": 1}):
        step(balancer, losses)
    assert step(balancer, {"a": 1, "b": 1}) == pytest.approx({"a": 1.124353, "b": 0.875647}, abs=1e-6)


def test_a_task_that_was_absent_for_windows_keeps_its_rate() -> None:
    balancer = build(DWA(every=1), "ab")
    for losses in ({"a": 1, "b": 1}, {"a": 1, "b": 0.5}, {"a": 1}, {"a": 1}):
        step(balancer, losses)
    assert step(balancer, {"a": 1, "b": 1}) == pytest.approx({"a": 1.124353, "b": 0.875647}, abs=1e-6)


def test_a_task_that_joins_counts_as_standing_still() -> None:
    balancer = build(DWA(every=1), "abc")
    for losses in ({"a": 1, "b": 1}, {"a": 1, "b": 0.5}):
        step(balancer, losses)
    found = step(balancer, {"a": 1, "b": 1, "c": 7})
    assert found["c"] == found["a"] > found["b"]


def test_like_torchjd() -> None:
    balancer, theirs = build(DWA(every=3), "abc"), scalarization.DWA()
    losses = torch.tensor([0.5, 2.0, 8.0])
    for at in range(15):
        found = step(balancer, dict(zip("abc", losses.tolist(), strict=True)))
        expected = slopes(theirs, losses)
        torch.testing.assert_close(torch.tensor(list(found.values())), expected)
        if at % 3 == 2:
            theirs.step()
        losses = losses * torch.tensor([0.9, 1.1, 0.7])


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError) as raised:
        DWA(temperature=0, every=0)
    assert [problem.name for problem in raised.value.problems] == ["temperature", "every"]
