"""What holds for every rule that reads the gradients themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies
from tests.balancing.gradients.jacobians import CHANGES, WIDTH, friendly, jacobian, names
from torch import Tensor

from motet.balancing.gradients.base import GradientBalance
from motet.balancing.gradients.db_mtl import DBMTL
from motet.balancing.gradients.graddrop import GradDrop
from motet.balancing.gradients.rules import Combining, SolverFailed
from motet.errors import RecipeError
from motet.registry import find, part_name

RULES: dict[str, GradientBalance] = {
    "graddrop": GradDrop(),
    "graddrop, leaking": GradDrop(leak=0.1, leaks={"b": 1.0}),
    "db_mtl": DBMTL(),
    "db_mtl, less and less": DBMTL(beta=0.5, sigma=0.5),
    "db_mtl, at once": DBMTL(beta=0.0),
}
every_rule = pytest.mark.parametrize("part", RULES.values(), ids=list(RULES))


def rule_for(part: GradientBalance, tasks: list[str]) -> Combining:
    rule = part.weighting(tasks)
    assert isinstance(rule, Combining)
    rule.attach(WIDTH)
    return rule


def ask(rule: Combining, rows: Tensor, tasks: list[str], losses: Tensor | None = None) -> Tensor:
    losses = torch.arange(1, len(rows) + 1) / 2 if losses is None else losses
    return rule(rows.to(torch.float32, copy=True), tasks, losses)


@every_rule
@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1.0, 1e15])
@pytest.mark.parametrize("kind", CHANGES)
def test_updates_are_finite_whatever_the_gradients(part: GradientBalance, kind: str, scale: float) -> None:
    for tasks in (1, 4):
        rule = rule_for(part, names(4))
        for loss in (0.0, 1e-30, 1e15):
            update = ask(
                rule, scale * jacobian(kind, tasks), names(tasks), torch.tensor([loss, 1.0, 1e3, 1e-3][:tasks])
            )
            assert update.shape == (WIDTH,)
            assert update.dtype == torch.float32
            assert update.isfinite().all()


@every_rule
def test_without_any_gradient_nothing_moves(part: GradientBalance) -> None:
    assert not ask(rule_for(part, names(3)), torch.zeros(3, WIDTH), names(3)).any()


@every_rule
@settings(max_examples=20)
@given(rows=friendly(), shift=strategies.integers(1, 5))
def test_the_order_of_tasks_does_not_matter(part: GradientBalance, rows: Tensor, shift: int) -> None:
    tasks, losses = names(len(rows)), torch.arange(1, len(rows) + 1) / 2
    turned = [(at + shift) % len(tasks) for at in range(len(tasks))]
    one, other = rule_for(part, tasks), rule_for(part, [tasks[at] for at in turned])
    for _ in range(3):
        expected = ask(one, rows, tasks, losses)
        found = ask(other, rows[turned], [tasks[at] for at in turned], losses[turned])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(rows.abs().sum()))


@every_rule
def test_a_zero_gradient_does_not_stop_the_others(part: GradientBalance) -> None:
    rows = jacobian("agreeing").abs()
    rows[0] = 0
    update = ask(rule_for(part, names(4)), rows, names(4)).double()
    assert update @ rows.sum(dim=0) > 0.9 * update.norm() * rows.sum(dim=0).norm()


@every_rule
@pytest.mark.parametrize("unit", [1e-6, 1e4])
def test_the_update_grows_with_the_gradients(part: GradientBalance, unit: float) -> None:
    rows = jacobian("conflicting")
    expected = unit * ask(rule_for(part, names(4)), rows, names(4))
    found = ask(rule_for(part, names(4)), unit * rows, names(4))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.norm()))


@every_rule
def test_a_saved_rule_goes_on_bit_for_bit(part: GradientBalance) -> None:
    tasks = names(5)
    steps = [(jacobian(kind, 4, seed), [*tasks[seed % 3 :], *tasks][:4]) for seed, kind in enumerate(CHANGES)]
    rule = rule_for(part, tasks)
    for rows, present in steps[:7]:
        ask(rule, rows, present)
    saved = {name: tensor.clone() for name, tensor in rule.state_dict().items()}
    expected = [ask(rule, rows, present) for rows, present in steps[7:]]
    fresh = rule_for(part, tasks)
    fresh.load_state_dict(saved)
    for (rows, present), update in zip(steps[7:], expected, strict=True):
        assert ask(fresh, rows, present).equal(update)
    assert all(fresh.state_dict()[name].equal(tensor) for name, tensor in rule.state_dict().items())


@every_rule
def test_all_state_is_saved_and_nothing_is_a_parameter(part: GradientBalance) -> None:
    rule = rule_for(part, names(3))
    assert not list(rule.parameters())
    assert set(dict(rule.named_buffers())) == set(rule.state_dict())


@every_rule
def test_absent_tasks_change_nothing_of_theirs(part: GradientBalance) -> None:
    rule = rule_for(part, names(4))
    ask(rule, jacobian("conflicting"), names(4))
    before = {name: tensor.clone() for name, tensor in rule.state_dict().items()}
    ask(rule, jacobian("random", 2), ["c", "a"])
    for name, tensor in rule.state_dict().items():
        if tensor.dim() and "draws" not in name:  # signs are drawn in every step
            assert tensor[[1, 3]].equal(before[name][[1, 3]]), name


@every_rule
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_named(part: GradientBalance, value: float) -> None:
    rows = jacobian("random", 3)
    rows[1, 0] = value
    with pytest.raises(SolverFailed, match="The gradient of b is not finite"):
        ask(rule_for(part, names(3)), rows, names(3))


@every_rule
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 2}, "every = 2"),
        ({"where": "last_layer"}, "where = last_layer"),
        ({"where": "shared", "groups": "layer"}, "groups = layer"),
    ],
)
def test_common_options_are_checked(part: GradientBalance, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        replace(part, **options)


def test_every_rule_is_registered_under_its_name() -> None:
    for part in RULES.values():
        assert find("balance", part_name(part)) is type(part)
