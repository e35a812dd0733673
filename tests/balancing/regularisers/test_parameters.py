"""l2_to_start, successive and soft_sharing, against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from tests.balancing.regularisers.models import model, moved, parameter
from torch import nn

from motet.balancing.regularisers.base import Parameters, Penalty
from motet.balancing.regularisers.l2_to_start import L2ToStart
from motet.balancing.regularisers.soft_sharing import SoftSharing
from motet.balancing.regularisers.successive import Successive
from motet.errors import RecipeError


def value(penalty: Penalty) -> float:
    return penalty({}).item()


def gradients(penalty: Penalty, parameters: list[nn.Parameter]) -> list[list[float]]:
    return [g.tolist() for g in torch.autograd.grad(penalty({}), parameters)]


def test_l2_to_start_is_half_the_squared_distance() -> None:
    parameters = model()
    penalty = L2ToStart(weight=0.5).build(parameters)
    assert value(penalty) == 0
    moved(parameters, 2.0)
    assert value(penalty) == 0.5 / 2 * 5 * 2.0**2
    assert gradients(penalty, list(parameters.shared)) == [[0.5 * 2.0] * 2, [0.5 * 2.0] * 3]


def test_l2_to_start_may_draw_own_parameters_to_zero() -> None:
    parameters = model()
    penalty = L2ToStart(weight=0, own=0.2).build(parameters)
    assert value(penalty) == pytest.approx(0.1 * (1 + 4 + 1 + 1 + 9 + 16 + 36 + 4 + 4))
    assert penalty.state_dict() == {}
    assert L2ToStart(weight=0, own=0.2).active
    assert not L2ToStart(weight=0).active


def test_l2_to_start_keeps_the_start_it_was_saved_with() -> None:
    parameters = model()
    saved = save(L2ToStart(weight=2.0).build(parameters).state_dict())
    moved(parameters, 1.0)
    late = L2ToStart(weight=2.0).build(parameters)
    assert value(late) == 0
    late.load_state_dict(load(saved))
    assert value(late) == 5


def test_successive_holds_on_to_what_stood_at_the_last_change() -> None:
    parameters = model()
    penalty = Successive(weight=1.0, own=10.0).build(parameters)
    penalty.begin(0, ["a"])
    moved(parameters, 1.0)
    assert value(penalty) == 5  # the first step is a change; no task was there before it
    penalty.begin(1, ["a"])
    assert value(penalty) == 5
    penalty.begin(2, ["a", "b"])
    assert value(penalty) == 0
    moved(parameters, 1.0)
    assert value(penalty) == 5 + 10 * 6 * 2**2  # those of `a` alone, each moved by 2
    penalty.begin(3, ["b"])
    moved(parameters, 1.0)
    assert value(penalty) == 5 + 10 * (6 * 2**2 + 4 * 3**2)


def test_successive_draws_back_with_twice_the_weight() -> None:
    parameters = model()
    penalty = Successive(weight=0.5).build(parameters)
    penalty.begin(0, ["b", "a"])
    moved(parameters, 3.0)
    assert gradients(penalty, list(parameters.shared)) == [[3.0] * 2, [3.0] * 3]


def test_the_order_of_live_tasks_is_no_change() -> None:
    parameters = model()
    penalty = Successive().build(parameters)
    penalty.begin(0, ["a", "b"])
    moved(parameters, 1.0)
    before = value(penalty)
    penalty.begin(1, ["b", "a"])
    assert value(penalty) == before > 0


def test_successive_goes_on_where_it_was_saved() -> None:
    parameters = model()
    straight = Successive().build(parameters)
    straight.begin(0, ["a"])
    moved(parameters, 1.0)
    straight.begin(1, ["b"])
    moved(parameters, 1.0)
    resumed = Successive().build(parameters)
    resumed.load_state_dict(load(save(straight.state_dict())))
    for step, live in enumerate((["b"], ["a"]), start=2):
        for penalty in (straight, resumed):
            penalty.begin(step, live)
        assert value(resumed) == value(straight)
        moved(parameters, 1.0)
        assert value(resumed) == value(straight) > 0
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def test_no_factor_takes_no_room() -> None:
    sizes = {k: v.numel() for k, v in Successive(own=0).build(model()).state_dict().items()}
    assert sum(sizes.values()) == 5 + 2 * 2  # shared parameters, and two flags a task
    assert not Successive(weight=0, own=0).active


@pytest.mark.parametrize("recipe", [L2ToStart, Successive])
def test_the_factor_for_own_parameters_is_checked(recipe: type) -> None:
    with pytest.raises(RecipeError, match="own"):
        recipe(own=-1)


def test_nothing_trained_is_no_penalty() -> None:
    empty = Parameters([], {"a": []}, {"a": {}})
    for recipe in (L2ToStart(own=1), Successive()):
        penalty = recipe.build(empty)
        penalty.begin(0, ["a"])
        assert value(penalty) == 0
        assert not penalty({}).requires_grad


def test_soft_sharing_is_the_distance_of_corresponding_layers() -> None:
    parameters = model()
    assert value(SoftSharing(weight=0.5).build(parameters)) == 0.5 * (5 + 2)  # |(3, 4)| and |2|
    assert value(SoftSharing(weight=0.5, squared=True).build(parameters)) == 0.5 * (25 + 4)


def test_soft_sharing_pulls_both() -> None:
    parameters = model()
    ends = [parameters.layers[task]["*.weight"] for task in "ab"]
    one, other = gradients(SoftSharing(weight=1.0).build(parameters), ends)
    assert one == pytest.approx([-0.6, -0.8])
    assert other == pytest.approx([0.6, 0.8])


def test_equal_layers_are_at_rest() -> None:
    layers = {task: {"w": parameter(1.0, 2.0)} for task in "ab"}
    penalty = SoftSharing().build(Parameters([], {}, layers))
    assert gradients(penalty, [layers["a"]["w"]]) == [[0.0, 0.0]]


def test_soft_sharing_takes_the_mean_over_pairs() -> None:
    layers = {task: {"w": parameter(at)} for task, at in (("a", 0.0), ("b", 1.0), ("c", 5.0))}
    parameters = Parameters([], {}, layers)
    assert value(SoftSharing(weight=1.0).build(parameters)) == pytest.approx((1 + 4 + 5) / 3)
    assert value(SoftSharing(weight=1.0, tasks=(("c", "a"),)).build(parameters)) == 5


def test_layers_of_other_shape_do_not_correspond() -> None:
    layers = {"a": {"w": parameter(1.0), "v": parameter(1.0)}, "b": {"w": parameter(1.0, 2.0), "v": parameter(3.0)}}
    assert value(SoftSharing(weight=1.0).build(Parameters([], {}, layers))) == 2


def test_soft_sharing_asks_for_layers_in_common() -> None:
    layers = {"a": {"w": parameter(1.0)}, "b": {"w": parameter(1.0)}, "c": {}}
    parameters = Parameters([], {}, layers)
    assert list(SoftSharing().misfits(parameters)) == []
    (named,) = SoftSharing(tasks=(("a", "b"), ("a", "c"))).misfits(parameters)
    assert (named.name, named.rule.endswith("a and c have none in common")) == ("tasks", True)
    assert "task_layers: {a: 1, c: 1}" in named.remedy
    (none,) = SoftSharing().misfits(Parameters([], {}, {task: {} for task in "abc"}))
    assert "a and b have none in common" in none.rule
