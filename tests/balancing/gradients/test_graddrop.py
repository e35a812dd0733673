from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from tests.balancing.gradients.jacobians import CHANGES, WIDTH, friendly, jacobian, names
from torch import Tensor, nn
from torchjd.aggregation import GradDrop as Oracle

from motet.balancing.base import Balancer, Facts
from motet.balancing.gradients.graddrop import GradDrop, shares
from motet.encoders.trunk import States
from motet.errors import RecipeError


def mean_update(rows: Tensor, part: GradDrop, count: int = 2000) -> Tensor:
    rule, tasks = part.weighting(names(len(rows))), names(len(rows))
    return torch.stack([rule(rows.clone(), tasks) for _ in range(count)]).mean(dim=0)


def test_a_task_that_is_alone_loses_nothing() -> None:
    for kind in CHANGES:
        rows = (1e-30 * jacobian(kind, 1)).float()
        assert GradDrop().weighting(["a", "b"])(rows.clone(), ["a"]).equal(rows[0])


@given(friendly())
def test_where_all_agree_it_is_the_sum(rows: Tensor) -> None:
    rows = rows.abs().float() * torch.tensor([1.0, -1.0]).repeat(WIDTH // 2)
    torch.testing.assert_close(GradDrop().weighting(names(len(rows)))(rows.clone(), names(len(rows))), rows.sum(dim=0))


@given(friendly())
def test_one_sign_is_kept_whole_and_the_other_dropped_whole(rows: Tensor) -> None:
    rows = rows.float()
    update = GradDrop(seed=1).weighting(names(len(rows)))(rows.clone(), names(len(rows)))
    up, down = rows.clamp(min=0).sum(dim=0), rows.clamp(max=0).sum(dim=0)
    assert ((update - up).abs().minimum((update - down).abs()) <= 1e-5 * rows.abs().sum(dim=0)).all()


def test_signs_are_picked_as_often_as_they_are_pure() -> None:
    rows = torch.tensor([[1.0, 1.0, 1.0, -1.0, 9.0], [1.0, -1.0, -3.0, -2.0, -1.0]])
    purity = torch.tensor([1.0, 0.5, 0.25, 0.0, 0.9])
    rule = GradDrop(seed=3).weighting(["a", "b"])
    picked = torch.stack([rule(rows.clone(), ["a", "b"]) > 0 for _ in range(2000)]).float().mean(dim=0)
    assert picked[[0, 3]].tolist() == [1.0, 0.0]
    torch.testing.assert_close(picked, purity, rtol=0, atol=0.05)


def test_on_average_it_is_torchjd() -> None:
    rows = jacobian("conflicting", 3).float()
    leaks = torch.tensor([0.0, 0.25, 1.0])
    oracle = Oracle(leak=leaks)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = torch.stack([oracle(rows) for _ in range(2000)]).mean(dim=0)
    found = mean_update(rows, GradDrop(leaks={"b": 0.25, "c": 1.0}))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.08 * float(rows.abs().max()))


def test_draw_for_draw_it_is_torchjd(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = jacobian("conflicting", 4).float()
    drawn = torch.rand(WIDTH, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(torch, "rand", lambda *_, generator=None, **__: drawn if generator is None else 1 - drawn)
    leaks = torch.tensor([0.5, 0.0, 0.1, 1.0])
    part = GradDrop(leak=0.5, leaks={"b": 0.0, "c": 0.1, "d": 1.0})
    torch.testing.assert_close(part.weighting(names(4))(rows.clone(), names(4)), Oracle(leak=leaks)(rows))


def test_a_leak_of_one_is_the_sum() -> None:
    rows = jacobian("conflicting").float()
    torch.testing.assert_close(GradDrop(leak=1.0).weighting(names(4))(rows.clone(), names(4)), rows.sum(dim=0))


def test_leaks_are_those_of_the_tasks_that_are_there() -> None:
    rows = torch.tensor([[1.0], [-1000.0]])
    rule = GradDrop(leaks={"b": 1.0, "c": 0.5}).weighting(["a", "b", "c"])
    found = {round(float(rule(rows.clone(), ["c", "b"])), 3) for _ in range(50)}
    assert found <= {-999.5, -999.0}
    assert -999.5 in found


def test_many_columns_are_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motet.balancing.gradients.graddrop._COLUMNS", 3)
    rows = jacobian("conflicting").float()
    update = GradDrop().weighting(names(4))(rows.clone(), names(4))
    up, down = rows.clamp(min=0).sum(dim=0), rows.clamp(max=0).sum(dim=0)
    assert torch.minimum((update - up).abs(), (update - down).abs()).max() < 1e-5


class Trunk(nn.Module):
    """Gives its own parameter as the states of a chunk, so that its gradient is the merged one."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = nn.Parameter(states)

    def forward(self) -> States:
        return States(1.0 * self.states)


STATES = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WANTED = {t: torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(s), dtype=torch.float64)
          for s, t in enumerate("abc", start=1)}  # fmt: skip


def only(rows: Tensor, *places: int) -> Tensor:
    return torch.zeros_like(rows).index_copy(0, torch.tensor(places), rows[list(places)])


def update(balancer: Balancer, wanted: Mapping[str, Tensor], held: str = "", states: Tensor = STATES) -> Tensor:
    """The gradient of states, each task of which wants what is given."""
    trunk = Trunk(states)
    balancer.attach(trunk, [], [])
    balancer.begin(0, 1)
    last = trunk().last
    losses = {task: (gradient * last).sum() for task, gradient in wanted.items()}
    balancer.backward({t: v for t, v in losses.items() if t not in held}, {t: losses[t] for t in held})
    balancer.finish()
    assert trunk.states.grad is not None
    return trunk.states.grad


def build(part: GradDrop) -> Balancer:
    return part.build(dict.fromkeys("abc", Facts()))


def test_on_the_same_rows_every_element_has_its_sign() -> None:
    found = update(build(GradDrop()), WANTED)
    rows = torch.stack(list(WANTED.values()))
    up, down = rows.clamp(min=0).sum(dim=0), rows.clamp(max=0).sum(dim=0)
    assert (((found - up).abs() < 1e-12) | ((found - down).abs() < 1e-12)).all()
    assert len({bool(sign) for sign in (found > 0)[:, :, 0].flatten()}) == 2  # not one sign for a unit


def test_on_rows_of_their_own_every_unit_is_kept_or_dropped_as_a_whole() -> None:
    wanted = {"a": only(WANTED["a"], 0), "b": only(WANTED["b"], 1)}
    sums = torch.stack([(gradient * STATES.sign()).sum(dim=(0, 1)) for gradient in wanted.values()])
    conflict = sums[0] * sums[1] < 0
    assert conflict.any() and not conflict.all()
    for seed in range(8):
        found = update(build(GradDrop(seed=seed)), wanted)
        kept = torch.stack(
            [(found[place] == gradient[place]).all(dim=0) for place, gradient in enumerate(wanted.values())]
        )
        gone = torch.stack([(found[place] == 0).all(dim=0) for place in (0, 1)])
        assert (kept ^ gone).all()
        assert (kept[0] ^ kept[1]).equal(conflict)


@pytest.mark.parametrize("purity", ["auto", "unit"])
def test_units_are_kept_as_often_as_their_sums_are_pure(purity: str) -> None:
    wanted = {"a": only(WANTED["a"], 0), "b": only(WANTED["b"], 1)}
    sums = torch.stack([(gradient * STATES.sign()).sum(dim=(0, 1)) for gradient in wanted.values()])
    chance = (1 + sums.sum(dim=0) / sums.abs().sum(dim=0)) / 2
    chance = torch.where(sums[0] > 0, chance, 1 - chance)
    balancer = build(GradDrop(purity=purity))  # type: ignore[arg-type]
    kept = torch.stack([(update(balancer, wanted)[0] != 0).all(dim=0) for _ in range(600)]).double().mean(dim=0)
    torch.testing.assert_close(kept, chance, rtol=0, atol=0.08)


def test_a_word_chooses_the_coordinates() -> None:
    apart = {"a": only(WANTED["a"], 0), "b": only(WANTED["b"], 1)}
    assert update(build(GradDrop(purity="element")), apart).equal(apart["a"] + apart["b"])  # they never meet
    found = update(build(GradDrop(purity="unit")), {"a": WANTED["a"], "b": -2 * WANTED["a"]}) / WANTED["a"]
    assert (found == found[0, 0]).all()  # a unit has one sign in all rows


def test_held_tasks_are_added_whole_and_pick_no_sign() -> None:
    found = update(build(GradDrop()), {"a": WANTED["a"], "b": -5 * WANTED["a"]}, held="b")
    torch.testing.assert_close(found, -4 * WANTED["a"])


def test_a_task_that_leaks_wholly_is_never_dropped() -> None:
    wanted = {"a": WANTED["a"], "b": -WANTED["a"]}
    found = update(build(GradDrop(leaks={"a": 1.0})), wanted)
    share = found / WANTED["a"]
    assert ((share - share.round()).abs() < 1e-12).all()
    assert 0 < share.mean() < 1


def test_what_is_kept_is_reported() -> None:
    balancer = build(GradDrop())
    update(balancer, WANTED)
    weights = {task: float(weight) for task, weight in balancer.weights.items()}
    assert set(weights) == set("abc")
    assert all(0 < weight < 1 for weight in weights.values())
    update(balancer, {"b": WANTED["b"], "c": 0 * WANTED["c"]})
    assert {task: float(weight) for task, weight in balancer.weights.items()} == {"b": 1.0, "c": 1.0}


def test_a_saved_balancer_goes_on_bit_for_bit() -> None:
    balancer = build(GradDrop(seed=5))
    update(balancer, WANTED)
    saved = {name: tensor.clone() for name, tensor in balancer.state_dict().items()}
    expected = [update(balancer, WANTED) for _ in range(3)]
    fresh = build(GradDrop(seed=0))
    fresh.load_state_dict(saved)
    assert all(update(fresh, WANTED).equal(gradient) for gradient in expected)
    assert not expected[0].equal(expected[1])
    assert not list(balancer.parameters())


def test_signs_do_not_depend_on_how_rows_are_spread_over_processes() -> None:
    wanted = {"a": only(WANTED["a"], 0), "b": only(WANTED["b"], 1)}
    whole = update(build(GradDrop(seed=2, purity="unit")), wanted)
    sums = {t: (gradient * STATES.sign()).sum(dim=(0, 1)) for t, gradient in wanted.items()}
    for here, there, place in (("a", "b", 0), ("b", "a", 1)):
        balancer = build(GradDrop(seed=2, purity="unit"))
        balancer.processes = 2
        balancer.total = lambda tensor: tensor + other(tensor, there, sums[there])
        found = update(balancer, {here: wanted[here][[place]]}, states=STATES[[place]])
        torch.testing.assert_close(found[0], whole[place])


def other(tensor: Tensor, task: str, sums: Tensor) -> Tensor:
    """What another process, with rows of one task, puts into a sum."""
    place = "abc".index(task)
    found = torch.zeros_like(tensor)
    if tensor.shape == (6,):  # apart, readers, width, and who reads
        found[[1, 2, 3 + place]] = torch.tensor([1.0, 4.0, 1.0], dtype=tensor.dtype)
    elif tensor.shape == (3, 4):
        found[place] = sums
    return found


def test_a_process_without_rows_takes_part() -> None:
    balancer = build(GradDrop())
    balancer.attach(Trunk(STATES), [], [])
    balancer.processes, balancer.total = 2, lambda tensor: tensor + other(tensor, "b", torch.ones(4).double())
    balancer.begin(0, 1)
    balancer.backward({}, {})
    balancer.finish()
    assert set(balancer.weights) == {"b"}


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e15])
@pytest.mark.parametrize("purity", ["element", "unit"])
def test_whatever_the_scale_states_have_finite_gradients(scale: float, purity: str) -> None:
    wanted = {"a": scale * WANTED["a"], "b": WANTED["b"], "c": scale * WANTED["c"]}
    found = update(build(GradDrop(purity=purity)), wanted)  # type: ignore[arg-type]
    assert found.isfinite().all()


def test_a_sign_that_no_task_wants_is_never_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.tensor([[1.0, -1.0, 0.0], [2.0, -3.0, 0.0]])
    for drawn in (0.0, 1 - 2**-24):
        monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, drawn))
        assert shares(rows, torch.zeros(2, 1), torch.Generator()).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leak": 1.5}, "leak = 1.5"),
        ({"leaks": {"a": -0.1}}, "leaks.a = -0.1"),
        ({"purity": "units"}, "Did you mean `unit`"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        GradDrop(**options)


@pytest.mark.parametrize("where", ["shared", "representation"])
def test_leaks_name_tasks(where: Any) -> None:
    with pytest.raises(RecipeError, match=r"leaks.mod\n +names no task. Did you mean `mood`"):
        GradDrop(where=where, leaks={"mod": 1.0}).build({"mood": Facts(), "topic": Facts()})
