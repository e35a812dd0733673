"""What holds for every rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies
from tests.balancing.gradients.jacobians import CHANGES, friendly, jacobian, jacobians, names
from torch import Tensor

from motet.balancing.gradients.aligned import AlignedMTL
from motet.balancing.gradients.base import GradientBalance, Rule, SolverFailed
from motet.balancing.gradients.cagrad import CAGrad
from motet.balancing.gradients.conflict_free import ConFIG
from motet.balancing.gradients.gradnorm import GradNorm
from motet.balancing.gradients.gradvac import GradVac
from motet.balancing.gradients.imtl_g import IMTLG
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.nash import NashMTL
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.gradients.torchjd import TorchJD
from motet.balancing.gradients.upgrad import UPGrad
from motet.errors import RecipeError
from motet.registry import find, part_name

RULES: dict[str, GradientBalance] = {
    "pcgrad": PCGrad(),
    "gradvac": GradVac(),
    "imtl_g": IMTLG(),
    "config": ConFIG(),
    "nash": NashMTL(),
    "nash, uncut": NashMTL(max_norm=None),
    "cagrad": CAGrad(),
    "mgda": MGDA(),
    "mgda, l2": MGDA(normalise="l2"),
    "mgda, loss": MGDA(normalise="loss"),
    "upgrad": UPGrad(),
    "aligned": AlignedMTL(),
    "gradnorm": GradNorm(),
    "gradnorm, sgd": GradNorm(optimiser="sgd"),
    "torchjd": TorchJD(),
    "torchjd, smooth": TorchJD(rule="UPGrad", smoothing=0.9),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
RANDOM = (PCGrad, GradVac)


def ask(weighting: Rule, rows: Tensor, tasks: list[str]) -> Tensor:
    return weighting(rows @ rows.T, tasks, torch.arange(1, len(rows) + 1) / 2)


def update(rule: GradientBalance, rows: Tensor) -> Tensor:
    tasks = names(len(rows))
    return ask(rule.weighting(tasks), rows, tasks) @ rows


@every_rule
@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e15])
@pytest.mark.parametrize("kind", CHANGES)
def test_weights_are_finite_whatever_the_gradients(rule: GradientBalance, kind: str, scale: float) -> None:
    for tasks in (2, 5):
        rows = scale * jacobian(kind, tasks)
        gramian = rows @ rows.T
        before = gramian.clone()
        weights = rule.weighting(names(tasks))(gramian, names(tasks), torch.ones(tasks))
        assert weights.shape == (tasks,)
        assert weights.dtype == torch.float64
        assert weights.isfinite().all()
        assert not weights.requires_grad
        assert gramian.equal(before)


@every_rule
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(rows=jacobians())
def test_weights_are_finite_for_any_mixture_of_scales(rule: GradientBalance, rows: Tensor) -> None:
    exponents = torch.linspace(-15, 7, len(rows), dtype=torch.float64)
    unit = rows.abs().max().clamp(min=1e-300)
    assert update(rule, rows / unit * 10 ** exponents[:, None]).isfinite().all()


@every_rule
def test_a_task_that_is_alone_has_weight_one(rule: GradientBalance) -> None:
    for length in (1e-8, 1.0, 300.0):
        rows = torch.full((1, 3), length, dtype=torch.float64)
        weighting = rule.weighting(names(3))
        assert ask(weighting, rows, ["b"]).tolist() == [1.0]


@every_rule
def test_without_any_gradient_weights_are_one(rule: GradientBalance) -> None:
    assert ask(rule.weighting(names(3)), torch.zeros(3, 2, dtype=torch.float64), names(3)).tolist() == [1, 1, 1]


@every_rule
@settings(max_examples=20)
@given(rows=friendly(), shift=strategies.integers(1, 5))
def test_the_order_of_tasks_does_not_matter(rule: GradientBalance, rows: Tensor, shift: int) -> None:
    tasks = names(len(rows))
    turned = [tasks[(at + shift) % len(tasks)] for at in range(len(tasks))]
    places = [tasks.index(task) for task in turned]
    losses = torch.arange(1, len(rows) + 1) / 2
    gramian = rows @ rows.T
    one, other = rule.weighting(tasks), rule.weighting(turned)
    for _ in range(2):
        expected = one(gramian, tasks, losses)[places]
        found = other(gramian[places][:, places], turned, losses[places])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@every_rule
def test_equal_gradients_have_equal_weights(rule: GradientBalance) -> None:
    if isinstance(rule, RANDOM) or part_name(rule) == "torchjd":
        pytest.skip("who is met first is left to chance, or to a solver")
    rows = jacobian("two equal")
    weights = rule.weighting(names(4))(rows @ rows.T, names(4), torch.ones(4))
    torch.testing.assert_close(weights[0], weights[-1], rtol=1e-4, atol=1e-6)


@every_rule
def test_a_saved_rule_goes_on_bit_for_bit(rule: GradientBalance) -> None:
    tasks = names(5)
    steps = [(jacobian(kind, 4, seed), [*tasks[seed % 3 :], *tasks][:4]) for seed, kind in enumerate(CHANGES)]
    weighting = rule.weighting(tasks)
    for rows, present in steps[:7]:
        ask(weighting, rows, present)
    saved = {name: tensor.clone() for name, tensor in weighting.state_dict().items()}
    expected = [ask(weighting, rows, present) for rows, present in steps[7:]]
    fresh = rule.weighting(tasks)
    fresh.load_state_dict(saved)
    for (rows, present), weights in zip(steps[7:], expected, strict=True):
        assert ask(fresh, rows, present).equal(weights)
    assert all(fresh.state_dict()[name].equal(tensor) for name, tensor in weighting.state_dict().items())


@every_rule
def test_all_state_is_saved_and_nothing_is_a_parameter(rule: GradientBalance) -> None:
    weighting = rule.weighting(names(3))
    assert not list(weighting.parameters())
    assert set(dict(weighting.named_buffers())) == set(weighting.state_dict())


@every_rule
def test_absent_tasks_change_nothing_of_theirs(rule: GradientBalance) -> None:
    weighting = rule.weighting(names(4))
    ask(weighting, jacobian("conflicting"), names(4))
    before = {name: tensor.clone() for name, tensor in weighting.state_dict().items()}
    ask(weighting, jacobian("random", 2), ["c", "a"])
    for name, tensor in weighting.state_dict().items():
        if tensor.dim() and "orders" not in name:  # orders are drawn for all in every step
            absent = torch.tensor([1, 3])
            assert tensor[absent].equal(before[name][absent]), name


@every_rule
def test_moving_what_holds_it_leaves_it_in_place(rule: GradientBalance) -> None:
    weighting = rule.weighting(names(3))
    types = {name: tensor.dtype for name, tensor in weighting.state_dict().items()}
    torch.nn.ModuleList([weighting]).to(device="meta", dtype=torch.float16)
    assert {name: tensor.dtype for name, tensor in weighting.state_dict().items()} == types
    assert ask(weighting, jacobian("random", 3), names(3)).isfinite().all()


@every_rule
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_named(rule: GradientBalance, value: float) -> None:
    rows = jacobian("random", 3)
    rows[1] = value
    with pytest.raises(SolverFailed, match="The gradient of b is not finite"):
        ask(rule.weighting(names(3)), rows, names(3))


@every_rule
def test_a_loss_that_is_not_finite_is_named(rule: GradientBalance) -> None:
    rows = jacobian("random", 2)
    with pytest.raises(SolverFailed, match="The loss of a is not finite"):
        rule.weighting(names(2))(rows @ rows.T, names(2), torch.tensor([float("nan"), 1.0]))


@every_rule
def test_a_zero_gradient_does_not_stop_the_others(rule: GradientBalance) -> None:
    rows = jacobian("agreeing").abs()
    rows[0] = 0
    found = update(rule, rows)
    assert found @ rows.sum(dim=0) > 0.1 * found.norm() * rows.sum(dim=0).norm()
    assert found.norm() > 0.1 * min(1.0, float(rows[1:].norm(dim=1).min()))


HELD_BACK = {"imtl_g", "mgda", "mgda, loss", "aligned"}


@every_rule
def test_a_small_gradient_stops_only_rules_that_say_so(rule: GradientBalance) -> None:
    rows = jacobian("agreeing").abs()
    rows[0] *= 1e-4
    unit = 1.0 if isinstance(rule, NashMTL) or rule == RULES["mgda, l2"] else float(rows.mean(dim=0).norm())
    held_back = RULES[next(name for name in RULES if RULES[name] is rule)] in [RULES[name] for name in HELD_BACK]
    assert bool(update(rule, rows).norm() < 0.01 * unit) == held_back


POWERS: dict[str, float] = {"nash, uncut": -1, "nash": -1, "mgda, l2": -1}


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=15)
@given(rows=friendly(), unit=strategies.sampled_from([1e-6, 0.1, 1e4]))
def test_the_common_unit_of_all_gradients(name: str, rows: Tensor, unit: float) -> None:
    expected = update(RULES[name], rows) * unit ** (1 + POWERS.get(name, 0))
    torch.testing.assert_close(
        update(RULES[name], unit * rows), expected, rtol=1e-4, atol=1e-6 * float(expected.norm())
    )


OPPOSES_NONE = ["config", "nash", "mgda", "mgda, l2", "mgda, loss", "upgrad"]


@pytest.mark.parametrize("name", OPPOSES_NONE)
@given(rows=friendly())
def test_rules_that_promise_it_oppose_no_task(name: str, rows: Tensor) -> None:
    found = update(RULES[name], rows)
    assert (rows @ found >= -1e-9 * rows.norm(dim=1) * found.norm()).all()


@every_rule
def test_opposite_gradients_of_one_length_cancel(rule: GradientBalance) -> None:
    rows = jacobian("two opposite", tasks=2)
    weights = rule.weighting(names(2))(rows @ rows.T, names(2), torch.ones(2))
    assert (weights @ rows).norm() < 1e-5 * rows[0].norm()


def test_every_rule_is_registered_under_its_name() -> None:
    for rule in RULES.values():
        assert find("balance", part_name(rule)) is type(rule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every = 0"),
        ({"where": "share"}, "Did you mean `shared`"),
    ],
)
def test_common_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PCGrad(**options)
