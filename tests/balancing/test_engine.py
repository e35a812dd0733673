"""Task gradients against a plain loop in double precision."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from motet.balancing.base import Balancer, Facts
from motet.balancing.engine import GradientBalancer
from motet.balancing.gradients.base import Combining, GradientBalance, SolverFailed, Weighting
from motet.balancing.gradients.mgda import MGDA
from motet.balancing.gradients.pcgrad import PCGrad
from motet.balancing.rows import HELD, Rows, gramian
from motet.errors import RecipeError, RunError

TASKS = ("a", "b", "c")
FACTS = dict.fromkeys(TASKS, Facts())


class Ones(Weighting):
    """The sum."""

    def weigh(self, gramian: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        return torch.ones(len(names), dtype=torch.float64)


class Longest(Combining):
    """At every coordinate the largest number; remembers how many there are."""

    columns: Tensor

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.register_buffer("columns", torch.zeros(0))

    def attach(self, columns: int) -> None:
        self.columns = torch.zeros(columns)

    def combine(self, rows: Tensor, names: Sequence[str], losses: Tensor | None) -> Tensor:
        assert rows.shape[1] == len(self.columns)
        return rows.max(dim=0).values


class Toy(nn.Module):
    """A table and two layers that are shared, one that only task `c` reads, and a head for each task."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tied = tied
        self.table = nn.Embedding(40, 6, padding_idx=0)
        self.layers = nn.ModuleList([nn.Linear(6, 7), nn.Linear(7, 6)])
        self.aside = nn.Linear(6, 6)
        self.heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in TASKS})

    @property
    def shared(self) -> list[nn.Parameter]:
        return [p for name, p in self.named_parameters() if not name.startswith("heads")]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.named_parameters() if not name.startswith("heads")]

    def losses(self, tasks: Sequence[str] = TASKS, seed: int = 1) -> dict[str, Tensor]:
        random = torch.Generator().manual_seed(seed)
        rows = {task: torch.randint(0, 20, (4, 5), generator=random) for task in TASKS}
        return {task: self.loss(task, rows[task]) for task in tasks}

    def together(self, seed: int = 1) -> dict[str, Tensor]:
        """The losses of tasks that read the same rows."""
        rows = torch.randint(0, 20, (4, 5), generator=torch.Generator().manual_seed(seed))
        states = self.states(rows)
        return {task: self.heads[task](states).square().mean() for task in ("a", "b")}

    def states(self, rows: Tensor) -> Tensor:
        states: Tensor = self.layers[1](torch.tanh(self.layers[0](self.table(rows).mean(dim=1))))
        return states

    def loss(self, task: str, rows: Tensor) -> Tensor:
        states = self.states(rows)
        if task == "c":
            states = states + self.aside(states)
        loss: Tensor = self.heads[task](states).square().mean()
        return loss + (states @ self.table.weight.T).logsumexp(dim=1).mean() if self.tied else loss

    def take(self) -> dict[str, Tensor]:
        found = {name: p.grad.clone() for name, p in self.named_parameters() if p.grad is not None}
        self.zero_grad()
        return found


def attached(balancer: Balancer, toy: Toy) -> Balancer:
    balancer.attach(toy, toy.shared, list(toy.layers[1].parameters()))
    return balancer


def built(part: GradientBalance, toy: Toy) -> Balancer:
    return attached(part.build(FACTS), toy)


def step(balancer: Balancer, toy: Toy, *batches: tuple[Sequence[str], int], held: str = "") -> dict[str, Tensor]:
    """The gradients that a step leaves, each batch with some tasks and a seed of its own."""
    balancer.begin(0, 1)
    for tasks, seed in batches:
        losses = toy.losses(tasks, seed)
        balancer.backward({t: x for t, x in losses.items() if t not in held}, {t: losses[t] for t in held})
    balancer.finish()
    return toy.take()


def plain(toy: Toy, *batches: tuple[Sequence[str], int]) -> dict[str, Tensor]:
    """The gradients of the summed losses."""
    for tasks, seed in batches:
        torch.stack(list(toy.losses(tasks, seed).values())).sum().backward()  # type: ignore[no-untyped-call]
    return toy.take()


def rows_of(toy: Toy, *batches: tuple[Sequence[str], int], only: str = "") -> tuple[list[str], Tensor]:
    """The gradient of each task by a plain loop in double precision, with zeros for what it does not touch."""
    exact = copy.deepcopy(toy).double()
    wanted = [p for name, p in exact.named_parameters() if name in toy.names and name.startswith(only)]
    rows: dict[str, Tensor] = {}
    for tasks, seed in batches:
        for task, loss in exact.losses(tasks, seed).items():
            parts = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True)
            rows[task] = rows.get(task, torch.zeros(())) + torch.cat([part.reshape(-1) for part in parts])
    names = sorted(rows)
    return names, torch.stack([rows[name] for name in names])


def flat(found: Mapping[str, Tensor], toy: Toy, only: str = "") -> Tensor:
    like = dict(toy.named_parameters())
    names = [name for name in toy.names if name.startswith(only)]
    return torch.cat([found.get(name, torch.zeros_like(like[name])).reshape(-1) for name in names]).double()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-4)


@pytest.mark.parametrize("where", ["shared", "last_layer"])
@pytest.mark.parametrize("held", ["", "c", "abc"])
@pytest.mark.parametrize("tied", [False, True])
def test_weights_of_one_are_the_sum(where: str, held: str, tied: bool) -> None:
    toy = Toy(tied)
    expected = plain(toy, (TASKS, 1))
    found = step(attached(GradientBalancer(Ones(TASKS), where), toy), toy, (TASKS, 1), held=held)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("part", [PCGrad(seed=3), MGDA()])
def test_a_rule_weighs_shared_parameters_and_leaves_heads_alone(part: PCGrad | MGDA, tied: bool) -> None:
    toy = Toy(tied)
    names, rows = rows_of(toy, (TASKS, 1))
    weights = part.weighting(TASKS)(rows @ rows.T, names)
    heads = {name: g for name, g in plain(toy, (TASKS, 1)).items() if name.startswith("heads")}
    balancer = built(part, toy)
    found = step(balancer, toy, (TASKS, 1))
    close(flat(found, toy), weights @ rows)
    close(torch.stack([balancer.weights[task] for task in TASKS]).double(), weights)
    for name, gradient in heads.items():
        torch.testing.assert_close(found[name], gradient)


@pytest.mark.parametrize("tied", [False, True])
def test_batches_of_a_step_are_one_gradient_a_task(tied: bool) -> None:
    toy = Toy(tied)
    batches = [(("a", "b"), 1), (("a", "c"), 2), (("c",), 3)]
    names, rows = rows_of(toy, *batches)
    weights = MGDA().weighting(TASKS)(rows @ rows.T, names)
    close(flat(step(built(MGDA(), toy), toy, *batches), toy), weights @ rows)


def test_tasks_come_and_go_and_nothing_is_left_of_the_last_step() -> None:
    toy = Toy()
    balancer = built(MGDA(), toy)
    for tasks, seed in ((TASKS, 1), (("b",), 2), (("a", "c"), 3), (("c", "b"), 4)):
        names, rows = rows_of(toy, (tasks, seed))
        weights = MGDA().weighting(TASKS)(rows @ rows.T, names)
        close(flat(step(balancer, toy, (tasks, seed)), toy), weights @ rows)
        assert list(balancer.weights) == names


def test_tasks_that_share_rows_are_passed_through_one_by_one() -> None:
    toy = Toy()
    exact = copy.deepcopy(toy).double()
    wanted = [p for name, p in exact.named_parameters() if name in toy.names and "aside" not in name]
    grads = [torch.autograd.grad(loss, wanted, retain_graph=True) for loss in exact.together().values()]
    rows = torch.stack([torch.cat([g.reshape(-1) for g in of_task]) for of_task in grads])
    balancer = built(MGDA(), toy)
    balancer.begin(0, 1)
    balancer.backward(toy.together(), {})
    balancer.finish()
    found = torch.cat([g.reshape(-1) for name, g in toy.take().items() if not name.startswith("heads")]).double()
    close(found, MGDA().weighting(TASKS)(rows @ rows.T, ["a", "b"]) @ rows)


def test_what_no_task_touches_has_no_gradient() -> None:
    toy = Toy()
    balancer = built(MGDA(), toy)
    assert "aside.weight" in step(balancer, toy, (TASKS, 1))
    assert "aside.weight" not in step(balancer, toy, (("a", "b"), 1))


def test_frozen_parameters_and_those_unfrozen_later() -> None:
    toy = Toy()
    toy.layers[0].requires_grad_(False)
    toy.table.requires_grad_(False)
    balancer = built(MGDA(), toy)
    found = step(balancer, toy, (TASKS, 1))
    assert not any(name.startswith(("layers.0", "table")) for name in found)
    toy.requires_grad_(True)
    names, rows = rows_of(toy, (TASKS, 2))
    close(flat(step(balancer, toy, (TASKS, 2)), toy), MGDA().weighting(TASKS)(rows @ rows.T, names) @ rows)


@pytest.mark.parametrize("where", ["shared", "last_layer"])
def test_nothing_to_compare(where: str) -> None:
    toy = Toy().requires_grad_(False)
    toy.heads.requires_grad_(True)
    with pytest.raises(RecipeError, match="frozen"):
        attached(GradientBalancer(Ones(TASKS), where), toy)


def test_in_between_the_weights_are_the_last_ones() -> None:
    toy = Toy()
    balancer = built(MGDA(every=2), toy)
    step(balancer, toy, (TASKS, 1))
    weights = {task: float(weight) for task, weight in balancer.weights.items()}
    terms = [weights[task] * loss for task, loss in toy.losses(seed=5).items()]
    torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]
    expected = toy.take()
    found = step(balancer, toy, (TASKS, 5))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


def test_layers_have_weights_of_their_own() -> None:
    toy = Toy()
    found = step(built(MGDA(groups="layer"), toy), toy, (TASKS, 1))
    for layer in ("layers.0", "layers.1"):
        names, rows = rows_of(toy, (TASKS, 1), only=layer)
        close(flat(found, toy, only=layer), MGDA().weighting(TASKS)(rows @ rows.T, names) @ rows)
    names, rows = rows_of(toy, (TASKS, 1))
    (_, table), (_, aside) = (rows_of(toy, (TASKS, 1), only=only) for only in ("table", "aside"))
    rest = MGDA().weighting(TASKS)(table @ table.T + aside @ aside.T, names)
    close(flat(found, toy, only="table"), rest @ table)


@pytest.mark.parametrize("held", ["", "b"])
def test_a_rule_may_read_the_gradients_themselves(held: str) -> None:
    toy = Toy()
    names, rows = rows_of(toy, (TASKS, 1))
    seen = [place for place, name in enumerate(names) if name not in held]
    expected = rows[seen].max(dim=0).values + rows[[names.index(task) for task in held]].sum(dim=0)
    balancer = attached(GradientBalancer(Longest(TASKS)), toy)
    close(flat(step(balancer, toy, (TASKS, 1), held=held), toy), expected)


def test_half_precision() -> None:
    toy = Toy()
    _, rows = rows_of(toy, (TASKS, 1))
    balancer = attached(GradientBalancer(Ones(TASKS)), toy)
    balancer.precision = "bf16"
    balancer.begin(0, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = toy.losses()
    balancer.backward(losses, {})
    balancer.finish()
    found, expected = flat(toy.take(), toy), rows.sum(dim=0)
    assert float((found - expected).norm() / expected.norm()) < 0.02


def test_cosines_and_lengths_are_kept_on_request() -> None:
    toy = Toy()
    balancer = attached(GradientBalancer(Ones(TASKS), record=True), toy)
    step(balancer, toy, (TASKS, 1))
    names, rows = rows_of(toy, (TASKS, 1))
    found: dict[str, Any] = balancer.conflict
    assert found["names"] == names
    assert found["norms"] == pytest.approx(rows.norm(dim=1).tolist(), rel=1e-4)
    unit = rows / rows.norm(dim=1, keepdim=True)
    torch.testing.assert_close(torch.tensor(found["cosines"]), (unit @ unit.T).float(), atol=1e-4, rtol=1e-4)
    silent = attached(GradientBalancer(Ones(TASKS)), toy)
    step(silent, toy, (TASKS, 1))
    assert not silent.conflict


class _Drifting(torch.autograd.Function):
    """Its gradient grows each time that it is passed through."""

    passes = 0

    @staticmethod
    def forward(ctx: Any, states: Tensor) -> Tensor:
        return states.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        _Drifting.passes += 1
        return gradients[0] * _Drifting.passes


@pytest.mark.parametrize("before", ["table", "layers.1"])
def test_gradients_that_do_not_add_up_stop_the_run(before: str) -> None:
    toy = Toy()
    module = toy.get_submodule(before)
    module.register_forward_hook(lambda module, given, out: _Drifting.apply(out))  # type: ignore[no-untyped-call]
    name = "table.weight" if before == "table" else "weight"
    with pytest.raises(RunError, match=rf"{name}` do not add up"):
        step(built(PCGrad(), toy), toy, (TASKS, 1))


def test_a_gradient_that_is_not_finite_names_its_task() -> None:
    toy = Toy()
    balancer = built(PCGrad(), toy)
    balancer.begin(0, 1)
    losses = toy.losses()
    balancer.backward({**losses, "b": losses["b"] * torch.inf}, {})
    with pytest.raises(SolverFailed, match="of b is not finite"):
        balancer.finish()


def test_lookups_are_left_alone_outside_a_step() -> None:
    toy = Toy()
    balancer = built(PCGrad(), toy)
    step(balancer, toy, (TASKS, 1))
    assert not toy.table._forward_hooks
    balancer.begin(0, 1)
    with torch.no_grad():
        assert torch.equal(toy.table(torch.tensor([3])), toy.table.weight[[3]])
    toy.table(torch.tensor([3])).mul_(2)  # what is looked up may be changed in place


def test_of_a_table_only_the_rows_that_were_read_are_kept() -> None:
    toy = Toy()
    rows = Rows(toy, toy.shared, 2)
    rows.tables.listen()
    rows.allot(["a"])
    toy.table(torch.tensor([[7, 3, 0], [7, 7, 3]])).sum().backward()
    assert toy.table.weight.grad is None
    rows.take("a")
    rows.gather(lambda tensor: tensor, 1)
    (block,) = rows.tables.blocks(["a"], lambda tensor: tensor, 1)
    assert block.ids.tolist() == [0, 3, 7]
    assert block.values[0, :, 0].tolist() == [0.0, 2.0, 3.0]  # padding learns nothing
    assert rows.columns == sum(p.numel() for p in toy.shared) - toy.table.weight.numel()


def test_a_gramian_of_millions_of_columns_is_exact_enough() -> None:
    rows = torch.stack([torch.randn(3_000_000, generator=torch.Generator().manual_seed(seed)) + 0.1 for seed in (0, 1)])
    torch.testing.assert_close(gramian(rows), rows.double() @ rows.double().T, atol=0, rtol=2e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_a_process_without_rows_of_a_task_takes_part(tied: bool) -> None:
    toy = Toy(tied)
    balancer = attached(GradientBalancer(Ones(TASKS)), toy)
    balancer.processes, balancer.total = 2, lambda tensor: tensor  # the other process has nothing at all
    expected = plain(toy, (("a", "b"), 1))
    found = step(balancer, toy, (("a", "b"), 1))
    assert set(balancer.weights) == {"a", "b"}
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


def test_rows_beyond_the_tasks_make_place() -> None:
    toy = Toy()
    rows = Rows(toy, toy.shared, 1)
    for names in (["a"], ["a", HELD]):
        rows.allot(names)
        rows.gather(lambda tensor: tensor, 1)
        assert rows.of(names).abs().max() == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"groups": "layer", "where": "last_layer"}, "groups"),
        ({"groups": "layer", "every": 2}, "every"),
        ({"groups": "block"}, "groups"),
        ({"where": "everywhere"}, "where"),
        ({"most_memory": 0.0}, "most_memory"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], name: str) -> None:
    with pytest.raises(RecipeError, match=name):
        PCGrad(**options)
