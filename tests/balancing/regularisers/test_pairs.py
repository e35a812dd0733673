"""Pairs of tasks: which are named, which are compared, and what their penalties come to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.balancing.regularisers.models import model

from motet.balancing.regularisers.base import Features
from motet.balancing.regularisers.kl import KL, divergence
from motet.balancing.regularisers.orthogonality import Orthogonality
from motet.errors import RecipeError

TASKS = {"mood": True, "topic": True, "tags": False}


def test_every_pair_is_compared_once() -> None:
    assert KL().pairs(["c", "a", "b"]) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_named_pairs_are_compared_where_both_are_there() -> None:
    recipe = KL(tasks=(("b", "a"), ("a", "c")))
    assert recipe.pairs("abc") == [("b", "a"), ("a", "c")]
    assert recipe.pairs("bc") == []


def test_the_penalty_is_the_mean_over_pairs_that_are_there() -> None:
    torch.manual_seed(0)
    rows = {task: torch.randn(3, 4) for task in "abc"}
    given = {task: Features(of) for task, of in rows.items()} | {"d": Features(torch.randn(1, 4))}
    found = KL(weight=0.6).build(model())(given).item()
    pairs = [divergence(rows[x], rows[y]).item() for x, y in ("ab", "ac", "bc")]
    assert found == pytest.approx(0.6 * sum(pairs) / 3)
    named = KL(weight=0.6, tasks=(("c", "b"), ("a", "d"))).build(model())(given).item()
    assert named == pytest.approx(0.6 * pairs[2])


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        (("mood", "topic"), "tasks.0 = mood\n    must be two different tasks. Write [[a, b]]"),
        ((("mood", "mood"),), "must be two different tasks"),
        ((("mood", "topic", "tags"),), "must be two different tasks"),
        ((("mood", "topic"), ("topic", "mood")), "tasks.1 = topic, mood\n    is named twice"),
    ],
)
def test_what_is_no_pair_is_refused(tasks: Any, told: str) -> None:
    with pytest.raises(RecipeError) as raised:
        KL(tasks=tasks)
    assert told in str(raised.value)


def test_strangers_are_named() -> None:
    (problem,) = KL(tasks=(("mood", "topics"),)).problems(TASKS)
    assert str(problem) == "tasks.0 = topics\n    names no task. Did you mean `topic`?"


def test_one_task_has_nobody_to_be_compared_with() -> None:
    (problem,) = KL().problems({"mood": True})
    assert "there is only one" in problem.rule


def test_tasks_to_be_kept_apart_must_be_named() -> None:
    (problem,) = Orthogonality().problems(TASKS)
    assert problem.name == "tasks"
    assert not list(Orthogonality(tasks=(("mood", "tags"),)).problems(TASKS))
