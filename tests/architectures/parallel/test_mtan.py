from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS

from motet.architectures.parallel.mtan import MTAN, Mask
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import build


@pytest.fixture
def make(tiny_encoder: Path) -> Any:
    def made(architecture: MTAN) -> Any:
        torch.manual_seed(0)
        return build(Encoder(str(tiny_encoder)), architecture, TASKS).eval().arrangement

    return made


def read_by(model: Any, task: str) -> tuple[Any, Any]:
    """What the trunk makes of the rows of a task, and what its head reads."""
    part = CHUNK.part(task)
    read = model.trunk(part.tokens, part.mask, inner=True)
    return read, model.states(task, part, read)


def test_masks_layer_by_layer(make: Any) -> None:
    model = make(MTAN(size=4))
    for task in TASKS:
        read, found = read_by(model, task)
        taken = torch.zeros(32)
        for layer, mask in enumerate(model.masks[f"of_{task}"], 1):
            state = read.layers[layer][0, 1]
            inner = mask.inner.weight @ torch.cat([state, taken]) + mask.inner.bias
            taken = state / (1 + torch.exp(-(mask.outer.weight @ inner.clamp(min=0) + mask.outer.bias)))
        torch.testing.assert_close(found[0, 1], taken, atol=1e-5, rtol=1e-5)


def test_only_chosen_layers_are_masked(make: Any) -> None:
    model = make(MTAN(layers=(1,), size=4))
    read, found = read_by(model, "mood")
    (mask,) = model.masks["of_mood"]
    torch.testing.assert_close(found, mask(read.layers[1], torch.zeros_like(read.last)))


def test_a_lower_mask_matters_to_the_head(make: Any) -> None:
    model = make(MTAN(size=4))
    model(CHUNK)["mood"].square().sum().backward()
    assert all(mask.outer.weight.grad.any() for mask in model.masks["of_mood"])
    assert all(mask.outer.weight.grad is None for mask in model.masks["of_tags"])


def test_masks_begin_nearly_open() -> None:
    torch.manual_seed(0)
    states = torch.randn(100, 16)
    share = Mask(16, 8)(states, torch.zeros_like(states)) / states
    assert share.min() > 0.85
    assert share.max() < 1


@pytest.mark.parametrize("layers", [(2, 1), (1, 1)])
def test_layers_go_from_low_to_high(layers: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="from low to high, each layer once"):
        MTAN(layers=layers)


@pytest.mark.parametrize(("option", "value"), [("size", 0), ("dropout", 1.0)])
def test_options_out_of_range(option: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=option):
        MTAN(**{option: value})


def test_layers_that_a_trunk_has_not(make: Any) -> None:
    trunk = make(MTAN()).trunk
    (problem,) = MTAN(layers=(1, 3)).problems(TASKS, trunk)
    assert str(problem) == "architecture.layers = 3\n    must be 1 to 2"
    (problem,) = MTAN(layers=(0, 2)).problems(TASKS, trunk)
    assert problem.found == "0"
