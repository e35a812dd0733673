"""What holds for every balance that weighs losses."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from tests.balancing.stepping import DIRECTIONS, TASKS, backward, step, weights
from torch import Tensor

import motet.balancing
from motet.balancing.base import Balance, Facts
from motet.balancing.losses.coba import CoBa
from motet.balancing.losses.dwa import DWA
from motet.balancing.losses.dynamic_task_prioritisation import DynamicTaskPrioritisation
from motet.balancing.losses.famo import FAMO
from motet.balancing.losses.fixed import FixedWeights
from motet.balancing.losses.geometric import GeometricMean
from motet.balancing.losses.imtl_l import IMTLL
from motet.balancing.losses.inverse_score import InverseScore
from motet.balancing.losses.inverse_size import InverseSize
from motet.balancing.losses.log_classes import LogClasses
from motet.balancing.losses.loss_ratio import LossRatio
from motet.balancing.losses.random_weights import RandomWeights
from motet.balancing.losses.revised_uncertainty import RevisedUncertainty
from motet.balancing.losses.scale_invariant import ScaleInvariant
from motet.balancing.losses.sigmoid import SigmoidWeights
from motet.balancing.losses.smooth_tchebycheff import SmoothTchebycheff
from motet.balancing.losses.tchebycheff import Tchebycheff
from motet.balancing.losses.uncertainty import Uncertainty
from motet.balancing.losses.weighting import LossBalance, LossBalancer
from motet.registry import describe, find, names

Rename = Callable[[str], str]
Losses = dict[str, float]

# A recipe of every rule, given what its tasks are called. Windows are short, so that a few steps reach all states.
RECIPES: dict[str, Callable[[Rename], LossBalance]] = {
    "coba": lambda called: CoBa(window=3, warmup=1),
    "dwa": lambda called: DWA(every=2),
    "dynamic_task_prioritisation": lambda called: DynamicTaskPrioritisation(gamma=2),
    "famo": lambda called: FAMO(learning_rate=0.1),
    "fixed": lambda called: FixedWeights(weights={called("a"): 0.5, called("c"): 0}),
    "geometric": lambda called: GeometricMean(),
    "imtl_l": lambda called: IMTLL(learning_rate=0.1),
    "inverse_score": lambda called: InverseScore(baselines={called("b"): 0.5}, power=2),
    "inverse_size": lambda called: InverseSize(),
    "log_classes": lambda called: LogClasses(),
    "loss_ratio": lambda called: LossRatio(reference=called("b")),
    "random_weights": lambda called: RandomWeights(seed=5),
    "revised_uncertainty": lambda called: RevisedUncertainty(learning_rate=0.1),
    "scale_invariant": lambda called: ScaleInvariant(),
    "sigmoid": lambda called: SigmoidWeights(switches={called("c"): 0.5}, constants={called("a"): 2}),
    "smooth_tchebycheff": lambda called: SmoothTchebycheff(mu=0.5, warmup=2),
    "tchebycheff": lambda called: Tchebycheff(window=2),
    "uncertainty": lambda called: Uncertainty(learning_rate=0.1),
}
FACTS = {
    "a": Facts(examples=10, classes=2),
    "b": Facts(examples=200, classes=40),
    "c": Facts(examples=30),
    "d": Facts(examples=4000),
}
NORMALISED = ("coba", "dwa", "famo", "inverse_score", "random_weights")  # weights of k tasks sum to k

AFTER = {"a": 0.9, "b": 0.7, "c": 1.1, "d": 0.95}  # what a step leaves of each loss

few = settings(max_examples=12)  # of each rule, and there are many
every_rule = pytest.mark.parametrize("name", RECIPES)
a_loss = st.sampled_from([0.0, 1e-10, 0.3, 1.0, 1.5, 7.0, 1e15])
plain_loss = st.floats(0.1, 10)


def some_steps(loss: st.SearchStrategy[float], least: int = 1) -> st.SearchStrategy[list[Losses]]:
    """Steps with some of the tasks each."""
    return st.lists(st.dictionaries(st.sampled_from(TASKS), loss, min_size=1), min_size=least, max_size=8)


def build(name: str, called: Rename = str) -> LossBalancer:
    balancer = RECIPES[name](called).build({called(task): facts for task, facts in FACTS.items()})
    assert isinstance(balancer, LossBalancer)
    return balancer


def scores(losses: Mapping[str, float]) -> Losses:
    """Validation scores that go with losses."""
    return {task: 1 / (1 + loss) for task, loss in losses.items()}


def play(balancer: LossBalancer, steps: Sequence[Losses], called: Rename = str) -> list[Losses]:
    """The weights of steps, each of them with all that a trainer does around it."""
    found = []
    for at, losses in enumerate(steps):
        balancer.begin(at, len(steps))
        balancer.backward({called(task): torch.tensor(loss, requires_grad=True) for task, loss in losses.items()}, {})
        found.append({task: float(balancer.weights[called(task)]) for task in losses})
        if balancer.needs_second_look:
            balancer.look_again({called(task): torch.tensor(AFTER[task] * loss) for task, loss in losses.items()})
        balancer.observe({called(task): score for task, score in scores(losses).items()})
    return found


def test_every_rule_that_weighs_losses_is_tried_here() -> None:
    classes: dict[str, Any] = {name: find("balance", name) for name in names("balance")}
    assert set(RECIPES) == {name for name, cls in classes.items() if issubclass(cls, LossBalance)}
    assert all(type(RECIPES[name](str)) is classes[name] for name in RECIPES)


@every_rule
def test_recipes_describe_themselves_and_are_exported(name: str) -> None:
    recipe = RECIPES[name](str)
    assert isinstance(recipe, Balance)
    assert describe(recipe)["type"] == name
    assert type(recipe).__name__ in motet.balancing.__all__


@every_rule
@few
@given(steps=some_steps(a_loss))
def test_weights_are_finite_and_the_gradient_is_theirs(name: str, steps: list[Losses]) -> None:
    balancer = build(name)
    for at, losses in enumerate(steps):
        balancer.begin(at, len(steps))
        gradient = backward(balancer, losses)
        found = weights(balancer)
        assert set(found) == set(losses)
        assert all(math.isfinite(weight) and weight >= 0 for weight in found.values())
        expected = torch.stack([balancer.weights[task] * DIRECTIONS[task] for task in losses]).sum(dim=0)
        torch.testing.assert_close(gradient, expected)
        if balancer.needs_second_look:
            balancer.look_again({task: torch.tensor(AFTER[task] * loss) for task, loss in losses.items()})
        balancer.observe(scores(losses))


@every_rule
@few
@given(steps=some_steps(plain_loss), order=st.permutations(TASKS))
def test_the_order_of_the_losses_does_not_matter(name: str, steps: list[Losses], order: list[str]) -> None:
    shuffled = [{task: losses[task] for task in order if task in losses} for losses in steps]
    assert play(build(name), shuffled) == play(build(name), steps)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"random_weights"}))
@few
@given(steps=some_steps(plain_loss), order=st.permutations(TASKS))
def test_names_do_not_matter(name: str, steps: list[Losses], order: list[str]) -> None:
    called = dict(zip(TASKS, order, strict=True)).__getitem__
    for plain, renamed in zip(play(build(name), steps), play(build(name, called), steps, called), strict=True):
        assert renamed == pytest.approx(plain, rel=1e-2, abs=1e-4)


@every_rule
@few
@given(steps=some_steps(a_loss), held=a_loss)
def test_held_tasks_weigh_1_and_move_nothing_else(name: str, steps: list[Losses], held: float) -> None:
    alone, beside = build(name), build(name)
    for losses in steps:
        learning = {task: loss for task, loss in losses.items() if task != "d"}
        expected = backward(alone, learning) + DIRECTIONS["d"]
        torch.testing.assert_close(backward(beside, learning, {"d": held}), expected)
        assert weights(beside) == weights(alone)
    torch.testing.assert_close(beside.state_dict(), alone.state_dict(), rtol=0, atol=0, equal_nan=True)


@every_rule
@few
@given(before=some_steps(a_loss), after=some_steps(a_loss))
def test_a_saved_rule_goes_on_bit_for_bit(name: str, before: list[Losses], after: list[Losses]) -> None:
    straight = build(name)
    play(straight, before)
    resumed = build(name)
    resumed.load_state_dict(load(save(straight.state_dict())))
    assert play(resumed, after) == play(straight, after)
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0, equal_nan=True)


@every_rule
def test_all_state_is_in_buffers(name: str) -> None:
    assert list(build(name).parameters()) == []


@pytest.mark.parametrize("name", NORMALISED)
@few
@given(steps=some_steps(plain_loss))
def test_normalised_weights_sum_to_the_number_of_tasks(name: str, steps: list[Losses]) -> None:
    for found in play(build(name), steps):
        assert sum(found.values()) == pytest.approx(len(found), rel=1e-4)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"fixed", "loss_ratio", "sigmoid", "random_weights"}))
def test_equal_tasks_weigh_the_same(name: str) -> None:
    recipe = RECIPES[name](str) if name != "inverse_score" else InverseScore()
    balancer = recipe.build({task: Facts() for task in TASKS})
    assert isinstance(balancer, LossBalancer)
    for loss in (3.0, 1.0, 0.5, 0.4):
        found = step(balancer, dict.fromkeys(TASKS, loss))
        assert list(found.values()) == pytest.approx([found["a"]] * 4)
        balancer.observe(dict.fromkeys(TASKS, 1 / (1 + loss)))


class Wire:
    """Two processes that add tensors up."""

    def __init__(self) -> None:
        self._parts: list[Tensor] = [torch.zeros(()), torch.zeros(())]
        self._barrier = threading.Barrier(2, timeout=60)

    def total(self, rank: int, tensor: Tensor) -> Tensor:
        self._parts[rank] = tensor
        self._barrier.wait()
        total = self._parts[0] + self._parts[1]
        self._barrier.wait()
        return total


def play_part(balancer: LossBalancer, wire: Wire, rank: int, steps: Sequence[Losses], found: list[Tensor]) -> None:
    """One of two processes: it has a third or two thirds of every loss, and all of one task or none of it."""
    balancer.processes = 2
    balancer.total = lambda tensor: wire.total(rank, tensor)
    for losses in steps:
        part = {"a": float(rank == 0), "b": float(rank == 1), "c": (1 + rank) / 3, "d": (2 - rank) / 3}
        mine = {task: part[task] for task in losses if part[task]}
        p = torch.zeros(3, requires_grad=True)
        local = {task: share * (losses[task] + DIRECTIONS[task] @ p) for task, share in mine.items()}
        balancer.backward(local, {})
        found.append(torch.zeros(3) if p.grad is None else p.grad)
        if balancer.needs_second_look:
            balancer.look_again({task: torch.tensor(AFTER[task] * loss) for task, loss in losses.items()})


@every_rule
@few
@given(steps=some_steps(plain_loss, least=3))
def test_two_processes_do_what_one_does(name: str, steps: list[Losses]) -> None:
    wire, parts, found = Wire(), [build(name), build(name)], ([], [])  # type: tuple[Wire, list[LossBalancer], Any]
    threads = [threading.Thread(target=play_part, args=(parts[r], wire, r, steps, found[r])) for r in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = build(name)
    for at, losses in enumerate(steps):
        expected = backward(alone, losses)
        if alone.needs_second_look:
            alone.look_again({task: torch.tensor(AFTER[task] * loss) for task, loss in losses.items()})
        torch.testing.assert_close(found[0][at] + found[1][at], expected, rtol=1e-3, atol=1e-4)
    assert weights(parts[0]) == weights(parts[1])
    torch.testing.assert_close(parts[0].state_dict(), parts[1].state_dict(), rtol=0, atol=0, equal_nan=True)


@every_rule
def test_a_process_without_rows_takes_part(name: str) -> None:
    balancer = build(name)
    balancer.processes = 2
    balancer.total = lambda table: torch.tensor([[1.0, 1], [2.0, 1], [0.0, 0], [0.0, 0]])
    balancer.backward({}, {})
    assert set(balancer.weights) == {"a", "b"}


@every_rule
def test_only_held_tasks(name: str) -> None:
    balancer = build(name)
    before = {key: value.clone() for key, value in balancer.state_dict().items()}
    torch.testing.assert_close(backward(balancer, {}, {"a": 3.0, "b": 0.0}), DIRECTIONS["a"] + DIRECTIONS["b"])
    assert balancer.weights == {}
    torch.testing.assert_close(balancer.state_dict(), before, rtol=0, atol=0, equal_nan=True)


@every_rule
def test_a_stranger_is_refused(name: str) -> None:
    with pytest.raises(KeyError, match="stranger"):
        build(name).backward({"a": torch.tensor(1.0), "stranger": torch.tensor(1.0)}, {})
