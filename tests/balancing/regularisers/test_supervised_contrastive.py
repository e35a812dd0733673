"""The contrast of classes, against a loop over rows."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.balancing.regularisers.models import model
from torch import Tensor

from motet.balancing.regularisers.base import Features
from motet.balancing.regularisers.supervised_contrastive import SupervisedContrastive, contrast
from motet.errors import RecipeError

TASKS = {"mood": True, "topic": True, "tags": False}


def slow(rows: Tensor, labels: list[int], temperature: float) -> list[float]:
    """The loss of every row that has another of its class."""
    units = [(row / row.norm()).tolist() for row in rows]

    def likeness(i: int, j: int) -> float:
        return math.exp(sum(x * y for x, y in zip(units[i], units[j], strict=True)) / temperature)

    losses = []
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        partners = [j for j in others if labels[j] == label]
        if partners:
            whole = sum(likeness(i, j) for j in others)
            losses.append(-sum(math.log(likeness(i, j) / whole) for j in partners) / len(partners))
    return losses


def penalty(weight: float, **tasks: tuple[Tensor, list[int] | None]) -> Tensor:
    given_ = {
        task: Features(rows, None if labels is None else torch.tensor(labels)) for task, (rows, labels) in tasks.items()
    }
    return SupervisedContrastive(weight=weight, temperature=0.3).build(model())(given_)


def draw(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=7), temperature=st.sampled_from([0.05, 0.5, 2.0]))
def test_it_is_that_of_a_loop(labels: list[int], temperature: float) -> None:
    rows = draw(len(labels))
    losses = slow(rows, labels, temperature)
    total, anchors = contrast(rows, torch.tensor(labels), temperature)
    assert total.item() == pytest.approx(sum(losses))
    assert anchors.item() == len(losses)


def test_the_penalty_is_the_mean_over_rows_and_then_over_tasks() -> None:
    one, other = draw(4), draw(5, seed=1)
    labels = {"a": [0, 0, 1, 1], "b": [2, 0, 0, 0, 1], "c": [0, 1]}  # the last has no two of a class
    found = penalty(0.5, a=(one, labels["a"]), b=(other, labels["b"]), c=(draw(2), labels["c"]), d=(draw(3), None))
    means = [sum(losses) / len(losses) for losses in (slow(one, labels["a"], 0.3), slow(other, labels["b"], 0.3))]
    assert found.item() == pytest.approx(0.5 * sum(means) / 2)


def test_two_rows_of_a_class_alone_in_closed_form() -> None:
    assert penalty(1.0, a=(draw(2), [4, 4])).item() == pytest.approx(0)


def test_named_tasks_alone_take_part() -> None:
    rows = {task: Features(draw(4, seed=at), torch.tensor([0, 0, 1, 1])) for at, task in enumerate("ab")}
    named = SupervisedContrastive(tasks=("b",)).build(model())(rows)
    assert named.item() == SupervisedContrastive().build(model())({"b": rows["b"]}).item()


def test_it_draws_a_class_together_and_others_away() -> None:
    rows = draw(6).float().requires_grad_()
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    adam = torch.optim.Adam([rows], lr=0.1)
    for _ in range(100):
        adam.zero_grad()
        contrast(rows, labels, 0.5)[0].backward()  # type: ignore[no-untyped-call]
        adam.step()
    units = torch.nn.functional.normalize(rows.detach(), dim=1)
    cosines = units @ units.T
    assert cosines[:3, :3].min() > 0.9 > 0 > cosines[:3, 3:].max()


def test_a_row_of_zeros_stays() -> None:
    rows = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    total, _ = contrast(rows, torch.tensor([0, 0, 1]), 0.1)
    total.backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert rows.grad.isfinite().all()
    assert rows.grad[0].tolist() == [0, 0]


def test_options_are_checked() -> None:
    with pytest.raises(RecipeError, match="temperature"):
        SupervisedContrastive(temperature=0)


def test_tasks_must_give_texts_one_class() -> None:
    problems = [str(p) for p in SupervisedContrastive(tasks=("mod", "tags")).problems(TASKS)]
    assert problems == [
        "tasks = mod\n    names no task. Did you mean `mood`?",
        "tasks = tags\n    must give a text one class. There are: mood, topic",
    ]
    (none,) = SupervisedContrastive().problems({"tags": False})
    assert "needs a task that gives a text one class" in none.rule
