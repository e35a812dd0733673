from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from tests.encoders.tiny import make
from torch import Tensor, nn

from motet.architectures.parallel.soft_sharing import LayerwiseSoftSharing, distance
from motet.errors import RecipeError


def built(part: LayerwiseSoftSharing, tasks: Any = None, noise: float = 0.1) -> Any:
    arrangement = part.build(make("bert"), TASKS if tasks is None else tasks)
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.parameters():
            p.add_(noise * torch.randn_like(p))
    return arrangement.train()


def looped(arrangement: Any, layers: list[int], squared: bool) -> Tensor:
    """The mean over pairs of tasks of the sum over layers of the distance of all weights."""
    found: list[Tensor] = []
    for a, b in combinations(TASKS, 2):
        total = torch.zeros(())
        for layer in layers:
            one, other = (
                torch.cat([p.flatten() for p in arrangement.layers(task)[layer].parameters()]) for task in (a, b)
            )
            gap = (one - other).square().sum()
            total = total + (gap if squared else gap.sqrt())
        found.append(total)
    return torch.stack(found).mean()


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(("shared", "tied", "layers"), [(0, (), [0, 1, 2]), (1, (), [0, 1]), (1, (3,), [1])])
def test_the_penalty_is_the_distance_of_layers(
    squared: bool, shared: int, tied: tuple[int, ...], layers: list[int]
) -> None:
    part = LayerwiseSoftSharing(gamma=0.5, squared=squared, shared_layers=shared, tied=tied)
    arrangement = built(part, noise=0.0)
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.columns.parameters():
            p.add_(torch.randn_like(p))
    arrangement(CHUNK)
    assert set(arrangement.extras) == {"layer_distance"}
    expected = 0.5 * looped(arrangement, layers, squared)
    torch.testing.assert_close(arrangement.extras["layer_distance"], expected)
    wanted = [p for p in arrangement.parameters() if p.requires_grad]
    found = torch.autograd.grad(arrangement.extras["layer_distance"], wanted, allow_unused=True)
    theirs = torch.autograd.grad(expected, wanted, allow_unused=True)
    for ours, other in zip(found, theirs, strict=True):
        assert (ours is None) == (other is None)
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("squared", [False, True])
def test_at_the_beginning_nothing_is_drawn(squared: bool) -> None:
    arrangement = built(LayerwiseSoftSharing(squared=squared), noise=0.0)
    arrangement(CHUNK)
    penalty = arrangement.extras["layer_distance"]
    assert float(penalty.detach()) == 0
    penalty.backward()
    assert all(not p.grad.any() for p in arrangement.columns.parameters())


def test_every_task_has_layers_that_serve_it_alone() -> None:
    arrangement = built(LayerwiseSoftSharing(shared_layers=1))
    own = {task: {id(p) for p in arrangement.own_parameters(task)} for task in TASKS}
    assert {id(p) for p in arrangement.trunk.layers[1:].parameters()} < own["mood"]
    assert {id(p) for p in arrangement.columns.of("tags")} < own["tags"]
    assert not {id(p) for p in arrangement.trunk.layers[0].parameters()} & own["mood"]


def test_without_weight_there_is_no_penalty() -> None:
    arrangement = built(LayerwiseSoftSharing(gamma=0.0))
    arrangement(CHUNK)
    assert arrangement.extras == {}


def test_one_task_has_nobody_to_be_drawn_to() -> None:
    arrangement = built(LayerwiseSoftSharing(), {"mood": TASKS["mood"]})
    arrangement(CHUNK.part("mood"))
    assert float(arrangement.extras["layer_distance"]) == 0


def test_distance_is_between_all_weights() -> None:
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        one.weight.copy_(torch.tensor([[1.0, 2.0]]))
        other.weight.copy_(torch.tensor([[3.0, 3.0]]))
        one.bias.fill_(4.0)
        other.bias.fill_(2.0)
    assert distance(one, other).item() == 3.0
    assert distance(one, other, squared=True).item() == pytest.approx(9.0)


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(RecipeError, match="gamma = -1"):
        LayerwiseSoftSharing(gamma=-1.0)
    problems = list(LayerwiseSoftSharing(shared_layers=1, tied=(1, 2, 4)).problems(TASKS, make("bert")))
    assert [(p.name, p.rule, p.found) for p in problems] == [
        ("architecture.tied", "must be 2 to 3", "1"),
        ("architecture.tied", "must be 2 to 3", "4"),
    ]
