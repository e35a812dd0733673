from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from tests.encoders.tiny import make

from motet.architectures.parallel.leaky_units import LeakyUnit, LeakyUnits
from motet.errors import RecipeError


def built(part: LeakyUnits) -> Any:
    arrangement = part.build(make("bert"), TASKS).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return arrangement


def test_a_unit_is_its_formula() -> None:
    torch.manual_seed(1)
    unit = LeakyUnit(3, 0.5)
    with torch.no_grad():
        unit.update.weight.copy_(torch.randn(3, 6))
    own, other = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    found = unit(own, other)
    for row in range(2):
        for place in range(4):
            h_m, h_n = own[row, place], other[row, place]
            both = torch.cat([h_m, h_n])
            r = torch.sigmoid(unit.reset.weight @ both + unit.reset.bias)
            z = torch.sigmoid(unit.update.weight @ both + unit.update.bias)
            heard = torch.tanh(unit.U.weight @ h_m + unit.U.bias + unit.W.weight @ (r * h_n))
            torch.testing.assert_close(found[row, place], z * h_m + (1 - z) * heard)


def test_a_unit_begins_by_keeping_a_share() -> None:
    torch.manual_seed(1)
    unit, own, other = LeakyUnit(3, 0.8), torch.randn(5, 3), torch.randn(5, 3)
    z = torch.sigmoid(unit.update(torch.cat([own, other], dim=-1)))
    torch.testing.assert_close(z, torch.full((5, 3), 0.8))


@pytest.mark.parametrize("one_unit", [False, True])
def test_a_column_goes_on_with_the_mean_over_the_others(one_unit: bool) -> None:
    arrangement = built(LeakyUnits(one_unit=one_unit))
    states = {task: torch.randn(2, 5, 16) for task in TASKS}
    found = arrangement.mix(2, dict(states))
    units = arrangement.units["2"]
    assert len(units) == (1 if one_unit else 6)
    for m in TASKS:
        kept, heard = torch.zeros(2, 5, 16), torch.zeros(2, 5, 16)
        for n in TASKS:
            if n != m:
                unit = units["of_all" if one_unit else f"of_{m} from of_{n}"]
                both = torch.cat([states[m], states[n]], dim=-1)
                r, z = torch.sigmoid(unit.reset(both)), torch.sigmoid(unit.update(both))
                kept += z / 2
                heard += (1 - z) * torch.tanh(unit.U(states[m]) + unit.W(r * states[n])) / 2
        torch.testing.assert_close(found[m], kept * states[m] + heard, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("shared", "after", "places"), [(0, (), {"2"}), (0, (1, 3), {"0", "2"}), (1, (), {"1"}), (1, (2,), {"0"})]
)
def test_units_stand_behind_the_chosen_layers(shared: int, after: tuple[int, ...], places: set[str]) -> None:
    arrangement = built(LeakyUnits(shared_layers=shared, units_after=after))
    assert set(arrangement.units) == places
    states = {task: torch.randn(2, 5, 16) for task in TASKS}
    for place in range(3 - shared):
        found = arrangement.mix(place, dict(states))
        assert all(torch.equal(found[task], states[task]) for task in TASKS) == (str(place) not in places)


def test_a_task_hears_the_columns_of_all_others() -> None:
    arrangement = built(LeakyUnits())
    for task in TASKS:
        arrangement.zero_grad()
        arrangement(CHUNK)[task].square().sum().backward()
        assert all(any(p.grad.any() for p in arrangement.columns.of(name)) for name in ("count", "tags"))
        heard = {n for n, unit in arrangement.units["2"].items() if any(p.grad is not None for p in unit.parameters())}
        assert heard >= {f"of_{task} from of_{other}" for other in TASKS if other != task}


def test_mixed_precision_loses_no_type() -> None:
    arrangement = built(LeakyUnits(units_after=(1, 3)))
    with torch.autocast("cpu", torch.bfloat16):
        found = arrangement(CHUNK)
    for task, expected in arrangement(CHUNK).items():
        torch.testing.assert_close(found[task].float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_keep_is_a_share_of_less_than_all(keep: float) -> None:
    with pytest.raises(RecipeError, match="keep"):
        LeakyUnits(keep=keep)


def test_layers_that_are_not_there() -> None:
    problems = list(LeakyUnits(shared_layers=1, units_after=(1, 3, 4)).problems(TASKS, make("bert")))
    assert [(p.name, p.rule, p.found) for p in problems] == [
        ("architecture.units_after", "must be 2 to 3", "1"),
        ("architecture.units_after", "must be 2 to 3", "4"),
    ]
