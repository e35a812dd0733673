"""Gradients at the representation against explicit ones in double precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from motet.balancing.base import Facts
from motet.balancing.gradients.gradnorm import GradNorm
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.gradients.rules import Weighting
from motet.balancing.representation import RepresentationBalancer, lengths_alone, products
from motet.encoders.trunk import States
from motet.errors import RecipeError

TASKS = ("a", "b", "c")
Rows = Mapping[str, Sequence[int]]
SHARED: Rows = {"a": (0, 1, 2), "b": (0, 1, 2), "c": (1, 2)}
APART: Rows = {"a": (0,), "b": (1,), "c": (2,)}


class Ones(Weighting):
    """The sum, which remembers what it was asked."""

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        self.asked = gramian, list(names), losses
        return torch.ones(len(names), dtype=torch.float64)


class Trunk(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, rows: Tensor) -> States:
        inner = torch.tanh(self.first(rows))
        last = torch.tanh(self.second(inner))
        return States(last, (rows, inner, last))


@dataclass(eq=False)
class Toy:
    """A trunk, a head for each task, two chunks, and a task `d` that reads an inner layer and weights of the trunk."""

    rows: Rows = field(default_factory=lambda: SHARED)
    trunk: Trunk = field(default_factory=Trunk)
    heads: nn.ModuleDict = field(default_factory=lambda: nn.ModuleDict({t: nn.Linear(3, 1) for t in TASKS}))
    inner: nn.Linear = field(default_factory=lambda: nn.Linear(5, 1))

    def __post_init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        for p in self.parameters:
            p.data = torch.randn(p.shape, generator=random, dtype=torch.float64)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for module in (self.trunk, self.heads, self.inner) for p in module.parameters()]

    def chunks(self, seed: int = 1) -> list[Tensor]:
        random = torch.Generator().manual_seed(seed)
        return [torch.randn(3, length, 4, generator=random, dtype=torch.float64) for length in (2, 6)]

    def losses(self, tasks: str = "abc", seed: int = 1) -> dict[str, Tensor]:
        found = dict.fromkeys(tasks, torch.zeros((), dtype=torch.float64))
        for chunk in self.chunks(seed):
            states = self.trunk(chunk)
            for task in tasks:
                if task == "d":
                    found[task] = found[task] + self.inner(states.after(1)).exp().mean() * self.trunk.second.bias.norm()
                else:
                    own = states.last[torch.tensor(self.rows[task])]
                    found[task] = found[task] + (self.heads[task](own) - 2).square().mean()
        return found

    def take(self) -> list[Tensor]:
        found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self.parameters]
        for p in self.parameters:
            p.grad = None
        return found

    def plain(self, weights: Mapping[str, float], seed: int = 1) -> list[Tensor]:
        """The gradients of a weighted sum."""
        losses = self.losses("".join(weights), seed)
        torch.stack([weights[t] * losses[t] for t in weights]).sum().backward()  # type: ignore[no-untyped-call]
        return self.take()

    def of_states(self, tasks: str = "abc") -> Tensor:
        """The gradients of the last states, a row for each task, by plain autograd."""
        found = []
        for task in tasks:
            states = [self.trunk(chunk).last.detach().requires_grad_() for chunk in self.chunks()]
            loss = sum((self.heads[task](s[torch.tensor(self.rows[task])]) - 2).square().mean() for s in states)
            found.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, states)]))
        return torch.stack(found)


def attached(weighting: Weighting, toy: Toy, every: int = 1, record: bool = False) -> RepresentationBalancer:
    balancer = RepresentationBalancer(weighting, every, record=record)
    balancer.attach(toy.trunk, list(toy.trunk.parameters()), list(toy.trunk.second.parameters()))
    return balancer


def step(balancer: RepresentationBalancer, toy: Toy, tasks: str = "abc", held: str = "", seed: int = 1) -> list[Tensor]:
    balancer.begin(0, 1)
    losses = toy.losses(tasks, seed)
    balancer.backward({t: losses[t] for t in tasks if t not in held}, {t: losses[t] for t in held})
    balancer.finish()
    return toy.take()


def weights_of(balancer: RepresentationBalancer) -> dict[str, float]:
    kept = dict(zip(balancer.rule.tasks, balancer.kept.tolist(), strict=True))
    assert {t: float(w) for t, w in balancer.weights.items()} == pytest.approx({t: kept[t] for t in balancer.weights})
    return {task: kept[task] for task in balancer.weights}


def close(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [SHARED, APART], ids=["shared", "apart"])
@pytest.mark.parametrize("held", ["", "c", "cd", "abcd"])
def test_weights_of_one_are_the_plain_sum(rows: Rows, held: str) -> None:
    toy = Toy(rows)
    expected = toy.plain(dict.fromkeys("abcd", 1.0))
    close(step(attached(Ones("abcd"), toy), toy, "abcd", held), expected)


def test_the_gramian_is_that_of_explicit_gradients() -> None:
    toy, weighting = Toy(), Ones(TASKS)
    step(attached(weighting, toy), toy)
    gramian, names, losses = weighting.asked
    rows = toy.of_states()
    assert names == list(TASKS)
    torch.testing.assert_close(gramian, rows @ rows.T, rtol=1e-9, atol=1e-12)
    assert losses is not None
    torch.testing.assert_close(losses, torch.stack(list(toy.losses().values())).detach())


def test_the_trunk_gets_the_weighted_gradient_and_heads_the_plain_one() -> None:
    toy, rule = Toy(), MGDA()
    rows = toy.of_states()
    weights = dict(zip(TASKS, rule.weighting(TASKS)(rows @ rows.T, TASKS).tolist(), strict=True))
    plain, weighted = toy.plain(dict.fromkeys(TASKS, 1.0)), toy.plain(weights)
    balancer = attached(rule.weighting(TASKS), toy)
    count = len(list(toy.trunk.parameters()))
    close(step(balancer, toy), [*weighted[:count], *plain[count:]])
    assert {t: float(w) for t, w in balancer.weights.items()} == pytest.approx(weights)


def test_under_a_linear_trunk_two_tasks_have_the_closed_form() -> None:
    toy = Toy()
    rows = toy.of_states("ab")
    difference = rows[1] - rows[0]
    share = float((rows[1] @ difference / (difference @ difference)).clamp(0, 1))
    balancer = attached(MGDA().weighting("ab"), toy)
    step(balancer, toy, "ab")
    assert float(balancer.weights["a"]) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_tasks_on_rows_of_their_own_are_weighed_by_length_alone(scale: float) -> None:
    toy, weighting = Toy(APART), Ones(TASKS)
    balancer = attached(weighting, toy)
    balancer.begin(0, 1)
    balancer.backward({t: scale * loss for t, loss in toy.losses().items()}, {})
    gramian = weighting.asked[0]
    assert gramian.equal(gramian.diagonal().diag())
    assert (gramian.diagonal() > 0).all()


def test_held_tasks_are_added_and_the_rule_does_not_see_them() -> None:
    toy, weighting = Toy(), Ones(TASKS)
    balancer = attached(weighting, toy)
    step(balancer, toy, held="b")
    assert weighting.asked[1] == ["a", "c"]
    assert set(balancer.weights) == {"a", "c"}


def test_a_task_that_does_not_read_the_last_states_keeps_its_gradient() -> None:
    toy = Toy()
    balancer = attached(MGDA().weighting("abcd"), toy)
    found = step(balancer, toy, "abcd")
    weights = weights_of(balancer)
    assert set(weights) == set(TASKS)
    count = len(list(toy.trunk.parameters()))
    close(found[:count], toy.plain({**weights, "d": 1.0})[:count])


def test_states_without_gradient_are_left_alone() -> None:
    toy = Toy()
    balancer = attached(Ones(TASKS), toy)
    plain = toy.trunk(toy.chunks()[0])
    assert plain.last.grad_fn is not None  # not begun
    balancer.begin(0, 1)
    with torch.no_grad():
        assert toy.trunk(toy.chunks()[0]).layers[2] is not None
    balancer.backward({}, {})
    assert toy.trunk(toy.chunks()[0]).last.grad_fn is None  # cut
    balancer.finish()
    assert toy.trunk(toy.chunks()[0]).last.grad_fn is not None


def test_copies_of_the_trunk_are_free_of_the_balance() -> None:
    toy = Toy()
    balancer = attached(Ones(TASKS), toy)
    step(balancer, toy)
    copy = deepcopy(toy.trunk)
    balancer.begin(0, 1)
    assert copy(toy.chunks()[0]).last.grad_fn is not None
    balancer.finish()
    assert not toy.trunk._forward_hooks


def test_a_step_that_was_interrupted_leaves_nothing_behind() -> None:
    toy = Toy()
    balancer = attached(Ones(TASKS), toy)
    balancer.begin(0, 1)
    toy.losses(seed=7)
    close(step(balancer, toy), toy.plain(dict.fromkeys(TASKS, 1.0)))
    assert not toy.trunk._forward_hooks


def test_a_trunk_that_is_frozen_is_refused_or_for_the_time_being_left_alone() -> None:
    toy = Toy()
    balancer = attached(MGDA().weighting(TASKS), toy)
    toy.trunk.requires_grad_(False)
    expected = toy.plain(dict.fromkeys(TASKS, 1.0))
    close(step(balancer, toy), expected)
    assert balancer.weights == {}
    with pytest.raises(RecipeError, match="compares gradients of what is frozen"):
        attached(MGDA().weighting(TASKS), toy)


def test_a_module_that_tasks_share_above_the_cut_gets_plain_gradients() -> None:
    toy = Toy()
    toy.heads["b"] = toy.heads["a"]
    expected = toy.plain(dict.fromkeys(TASKS, 1.0))
    close(step(attached(Ones(TASKS), toy), toy), expected)


def test_batches_of_a_step_are_weighed_one_by_one() -> None:
    toy = Toy()
    balancer = attached(MGDA().weighting(TASKS), toy)
    balancer.begin(0, 1)
    weights = []
    for seed in (1, 2):
        balancer.backward({t: loss / 2 for t, loss in toy.losses(seed=seed).items()}, {})
        weights.append(weights_of(balancer))
    balancer.finish()
    assert int(balancer.steps) == 1
    count = len(list(toy.trunk.parameters()))
    found = toy.take()[:count]
    one, two = (toy.plain(by, seed)[:count] for by, seed in zip(weights, (1, 2), strict=True))
    close(found, [(p + q) / 2 for p, q in zip(one, two, strict=True)])


def test_in_between_the_weights_are_the_last_ones() -> None:
    toy = Toy()
    balancer = attached(MGDA().weighting(TASKS), toy, every=2)
    step(balancer, toy)
    weights = weights_of(balancer)
    count = len(list(toy.trunk.parameters()))
    close(step(balancer, toy, seed=5)[:count], toy.plain(weights, seed=5)[:count])
    step(balancer, toy, seed=5)
    assert weights_of(balancer) != weights


@pytest.mark.parametrize("part", [PCGrad(seed=4, where="representation"), GradNorm(where="representation", every=2)])
def test_a_saved_balancer_goes_on_bit_for_bit(part: PCGrad | GradNorm) -> None:
    toy = Toy()
    facts = dict.fromkeys(TASKS, Facts())
    balancer = part.build(facts)
    assert isinstance(balancer, RepresentationBalancer)
    balancer.attach(toy.trunk, [], [])
    for seed in range(3):
        step(balancer, toy, seed=seed)
    fresh = part.build(facts)
    assert isinstance(fresh, RepresentationBalancer)
    fresh.load_state_dict({name: tensor.clone() for name, tensor in balancer.state_dict().items()})
    expected = [step(balancer, toy, seed=seed) for seed in (3, 4)]
    fresh.attach(toy.trunk, [], [])
    for seed, gradients in zip((3, 4), expected, strict=True):
        for one, other in zip(step(fresh, toy, seed=seed), gradients, strict=True):
            assert one.equal(other)
    assert not list(fresh.parameters())


def test_lengths_and_cosines_are_recorded() -> None:
    toy = Toy()
    balancer = attached(Ones(TASKS), toy, every=2, record=True)
    rows = toy.of_states()
    step(balancer, toy)
    assert balancer.conflict["names"] == list(TASKS)
    assert balancer.conflict["norms"] == pytest.approx(rows.norm(dim=1).tolist())
    units = rows / rows.norm(dim=1, keepdim=True)
    torch.testing.assert_close(torch.tensor(balancer.conflict["cosines"]), (units @ units.T).float())
    step(balancer, toy)
    assert balancer.conflict == {}


def test_the_gramian_is_added_up_over_processes() -> None:
    toy, weighting = Toy(), Ones(TASKS)
    balancer = attached(weighting, toy)
    balancer.processes, balancer.total = 2, lambda tensor: 2 * tensor  # the other has the same
    step(balancer, toy)
    rows = toy.of_states()
    torch.testing.assert_close(weighting.asked[0], 2 * rows @ rows.T, rtol=1e-9, atol=1e-12)
    assert balancer.summed == ()


def test_a_process_without_rows_weighs_as_the_others_do() -> None:
    toy, weighting = Toy(), Ones(TASKS)
    balancer = attached(weighting, toy)
    there = torch.zeros(3, 5, dtype=torch.float64)
    there[[0, 2], [0, 2]], there[[0, 2], -1] = 4.0, 1.0
    balancer.processes, balancer.total = 2, lambda tensor: tensor + there
    balancer.begin(0, 1)
    balancer.backward({}, {})
    balancer.finish()
    assert weighting.asked[1] == ["a", "c"]
    assert set(balancer.weights) == {"a", "c"}


def test_losses_that_no_cut_has_seen_are_refused() -> None:
    toy = Toy()
    balancer = attached(Ones(TASKS), toy)
    with pytest.raises(RecipeError, match="whose heads read what the trunk returns"):
        balancer.backward(toy.losses(), {})


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e15])
def test_whatever_the_scale_gradients_are_finite(scale: float) -> None:
    toy = Toy()
    balancer = attached(PCGrad().weighting(TASKS), toy)
    balancer.begin(0, 1)
    losses = toy.losses()
    balancer.backward({"a": scale * losses["a"], "b": losses["b"], "c": losses["c"]}, {})
    balancer.finish()
    assert all(gradient.isfinite().all() for gradient in toy.take())
    assert all(weight.isfinite() for weight in balancer.weights.values())


def test_products_of_single_precision_lose_nothing() -> None:
    vectors = [torch.randn(600_000, generator=torch.Generator().manual_seed(s)) * 1e-25 for s in range(3)]
    exact = torch.stack(vectors).double()
    torch.testing.assert_close(products(vectors), exact @ exact.T, rtol=1e-9, atol=0)


def test_who_shares_no_row_is_told_so() -> None:
    assert lengths_alone([("a", "b"), ("c", "d")]) == []
    assert [note.split(":")[0] for note in lengths_alone([("a", "b"), ("c",), ("d",)])] == ["c", "d"]
