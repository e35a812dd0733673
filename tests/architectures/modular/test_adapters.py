from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, bert, perturb
from tests.architectures.toys import chunk, owned
from torch.nn import functional

from motet.architectures.modular.adapters import Adapter, Adapters
from motet.architectures.modular.lora import LoRA
from motet.errors import RecipeError
from motet.tasks.base import Task
from motet.tasks.classification import Classification

CHUNK = chunk(mood=owned(0, 1, 2), topic=owned(1, 3))


@pytest.mark.parametrize("name", ["gelu", "relu", "silu", "tanh"])
def test_an_adapter_is_its_formula(name: Any) -> None:
    torch.manual_seed(0)
    adapter = Adapter(6, 3, name)
    h = torch.randn(2, 5, 6)
    phi = {"gelu": functional.gelu, "relu": torch.relu, "silu": functional.silu, "tanh": torch.tanh}[name]
    torch.nn.init.normal_(adapter.down.bias)
    expected = h + phi(h @ adapter.down.weight.T + adapter.down.bias) @ adapter.up.weight.T + adapter.up.bias
    torch.testing.assert_close(adapter(torch.zeros(2), h), expected)


def test_an_adapter_begins_near_the_identity_and_is_never_too_narrow() -> None:
    torch.manual_seed(0)
    adapter = Adapter(64, 16, "gelu")
    h = torch.randn(10, 64)
    assert 0 < float((adapter(h, h) - h).detach().abs().max()) < 0.05
    assert Adapter(4, 16, "gelu").down.out_features == 1


@pytest.mark.parametrize(("where", "count"), [("both", 4), ("feed_forward", 2)])
def test_adapters_stand_where_they_are_wanted(where: Any, count: int) -> None:
    arrangement: Any = Adapters(where=where).build(bert(), TASKS)
    assert sum(isinstance(module, Adapter) for module in arrangement.modules()) == count * len(TASKS)


def test_a_layer_with_an_adapter_is_a_plain_loop() -> None:
    trunk = bert()
    arrangement: Any = perturb(Adapters(where="feed_forward", reduction=2).build(trunk, TASKS))
    layer: Any = trunk.layers[0]
    adapter = arrangement.inserted[0].of["of_mood"]
    h = torch.randn(1, 3, 16)
    attended = layer.attention(h)[0]
    inner = layer.output.dense(functional.gelu(layer.intermediate.dense(attended)))
    expected = layer.output.LayerNorm(adapter(inner, inner) + attended)
    with arrangement.route.alone("mood"):
        found = layer(h)
    torch.testing.assert_close(found[0] if isinstance(found, tuple) else found, expected)


def test_norms_of_a_task_take_the_place_of_the_trunks() -> None:
    trunk = bert()
    arrangement: Any = Adapters(norms=True).build(trunk, TASKS).eval()
    rate = {id(p) for p in arrangement.pretrained_parameters()}
    own = {id(p) for p in arrangement.own_parameters("mood")}
    norms = [p for name, p in arrangement.named_parameters() if ".of_mood.norm." in name]
    assert len(norms) == 2 * 2 * 2
    assert all(p.requires_grad and id(p) in rate and id(p) in own for p in norms)
    before = arrangement(CHUNK)
    with torch.no_grad():
        for p in norms:
            p.mul_(3.0)
    after = arrangement(CHUNK)
    assert not torch.allclose(after["mood"], before["mood"])
    assert torch.equal(after["topic"], before["topic"])


@pytest.mark.parametrize(
    "architecture",
    [Adapters(), Adapters(norms=True), LoRA(), LoRA(shared=True)],
    ids=["adapters", "norms", "lora", "shared"],
)
def test_a_task_is_added_without_touching_the_others(architecture: Any) -> None:
    more: dict[str, Task] = {**TASKS, "late": Classification("late", source="s", classes=("a", "b"))}
    old = perturb(architecture.build(bert(), TASKS))
    new = perturb(architecture.build(bert(), more))
    missing, unexpected = new.load_state_dict(old.state_dict(), strict=False)
    assert not unexpected
    assert all("of_late" in name for name in missing)
    expected, found = old(CHUNK), new(CHUNK)
    for task in TASKS:
        assert torch.equal(found[task], expected[task])


def test_a_frozen_trunk_stays_and_a_free_one_learns() -> None:
    for freeze in (True, False):
        arrangement: Any = Adapters(freeze=freeze).build(bert(), TASKS)
        arrangement(CHUNK)["mood"].sum().backward()
        assert any(p.grad is not None for p in arrangement.trunk.parameters()) is not freeze
        assert all(p.grad is not None for p in arrangement.own_parameters("mood"))
        assert not any(p.grad is not None and p.grad.any() for p in arrangement.own_parameters("topic"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": "attention"}, "where = attention"),
        ({"reduction": 0}, "reduction = 0"),
        ({"activation": "gelo"}, "Did you mean `gelu`"),
        ({"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_bad_settings_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Adapters(**options)
