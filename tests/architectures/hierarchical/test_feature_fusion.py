from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS

from motet.architectures.hierarchical.feature_fusion import (
    AttentionOverLayers,
    FeatureFusion,
    Fuse,
    GateOverLayers,
    ScalarMix,
)
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build

FUSES: tuple[Fuse, ...] = ("mix", "gate", "attention")


def made(encoder: Path, architecture: Any) -> MultiTaskModel:
    torch.manual_seed(0)
    return build(Encoder(str(encoder)), architecture, TASKS).eval()


def test_a_mix_is_a_scaled_mean_by_weights() -> None:
    mix = ScalarMix(3)
    layers = torch.randn(3, 2, 5, 4)
    torch.testing.assert_close(mix(layers), layers.mean(0))
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.0, 1.0, 2.0]).log1p())
        mix.scale.fill_(2.0)
    torch.testing.assert_close(mix(layers), 2 * (layers[0] + 2 * layers[1] + 3 * layers[2]) / 6)


def test_a_gate_lets_each_layer_take_a_share() -> None:
    torch.manual_seed(0)
    fusion, layers = GateOverLayers(3, 4), torch.randn(3, 4)
    fused = layers[0]
    for number in (1, 2):
        gate: Any = fusion.gates[number - 1]
        share = 1 / (1 + torch.exp(-(gate.weight[0, :4] @ layers[number] + gate.weight[0, 4:] @ fused + gate.bias)))
        fused = share * layers[number] + (1 - share) * fused
    torch.testing.assert_close(fusion(layers.view(3, 1, 1, 4))[0, 0], fused)


def test_attention_looks_from_the_last_layer() -> None:
    torch.manual_seed(0)
    fusion, layers = AttentionOverLayers(3, 4, 5), torch.randn(3, 2, 6, 4)
    with torch.no_grad():
        fusion.bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
    found, token = fusion(layers), layers[:, 1, 2]
    query = fusion.query.weight @ token[2] + fusion.query.bias
    scores = torch.stack([query @ (fusion.keys.weight @ token[layer]) for layer in range(3)]) / 5**0.5
    weights = torch.exp(scores + fusion.bias)
    torch.testing.assert_close(found[1, 2], (weights / weights.sum()) @ token)


@pytest.mark.parametrize("fuse", FUSES)
def test_with_all_weight_on_the_last_layer_it_is_hard_sharing(tiny_encoder: Path, fuse: Fuse) -> None:
    plain, model = made(tiny_encoder, HardSharing()), made(tiny_encoder, FeatureFusion(fuse=fuse))
    model.arrangement.heads.load_state_dict(plain.arrangement.heads.state_dict())
    arrangement: Any = model.arrangement
    expected = plain(CHUNK)
    assert not torch.allclose(model(CHUNK)["mood"], expected["mood"], atol=1e-3)
    with torch.no_grad():
        for fusion in arrangement.fusions.children():
            if fuse == "gate":
                fusion.gates[-1].bias.fill_(40.0)
            else:
                (fusion.weights if fuse == "mix" else fusion.bias)[-1] = 40.0
    for task in TASKS:
        torch.testing.assert_close(model(CHUNK)[task], expected[task], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("fuse", FUSES)
def test_each_task_fuses_by_itself(tiny_encoder: Path, fuse: Fuse) -> None:
    model = made(tiny_encoder, FeatureFusion(fuse=fuse, size=4))
    model(CHUNK)["mood"].square().sum().backward()
    arrangement: Any = model.arrangement
    assert all(p.grad is not None and p.grad.any() for p in arrangement.fusions["of_mood"].parameters())
    assert all(p.grad is None for p in arrangement.fusions["of_tags"].parameters())
    own = {id(p) for p in arrangement.own_parameters("mood")}
    assert {id(p) for p in arrangement.fusions["of_mood"].parameters()} <= own


@pytest.mark.parametrize("fuse", FUSES)
def test_only_chosen_layers_are_fused(tiny_encoder: Path, fuse: Fuse) -> None:
    model: Any = made(tiny_encoder, FeatureFusion(fuse=fuse, layers=(0, 1))).arrangement
    part = CHUNK.part("mood")
    read = model.trunk(part.tokens, part.mask, inner=True)
    expected = model.fusions["of_mood"](torch.stack([read.layers[0], read.layers[1]]))
    assert torch.equal(model.states("mood", part, read), expected)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"fuse": "gates"}, "fuse = gates\n    is not known. Did you mean `gate`?"),
        ({"layers": (2, 1)}, "each layer once"),
        ({"layers": (2,)}, "leaves nothing to fuse"),
        ({"size": 0}, "size"),
        ({"dropout": 2.0}, "dropout"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        FeatureFusion(**options)


def test_layers_that_a_trunk_has_not(tiny_encoder: Path) -> None:
    trunk = made(tiny_encoder, FeatureFusion()).arrangement.trunk
    (problem,) = FeatureFusion(layers=(0, 2, 3)).problems(TASKS, trunk)
    assert str(problem) == "architecture.layers = 3\n    must be 0 to 2"
