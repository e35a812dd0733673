from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, WRITING, bert, gpt2, perturb, t5, writing_chunk
from tests.architectures.toys import chunk, owned
from torch import nn

from motet.architectures.modular.ia3 import IA3
from motet.architectures.modular.lora import LoRA, LowRank
from motet.architectures.modular.mtl_lora import MTLLoRA
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.architectures.routing import site
from motet.encoders.layers import sites
from motet.errors import RecipeError

CHUNK = chunk(mood=owned(0, 1, 2), topic=owned(1, 3))


def test_what_is_added_is_its_formula() -> None:
    torch.manual_seed(0)
    product = nn.Linear(5, 3)
    added = LowRank(product, 2, 4.0 / 2)
    x = torch.randn(7, 5)
    assert torch.equal(added(x, product(x)), product(x))
    nn.init.normal_(added.B)
    expected = product(x) + 4.0 / 2 * torch.stack([added.B @ (added.A @ row) for row in x])
    torch.testing.assert_close(added(x, product(x)), expected)


@pytest.mark.parametrize(
    ("make", "places"), [(bert, ("query", "value", "outer")), (t5, ("key", "inner")), (gpt2, ("attn.c_attn", "outer"))]
)
@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_merged_weights_answer_the_same(make: Any, places: tuple[str, ...], shared: bool) -> None:
    part = LoRA(rank=3, alpha=6, sites=places, shared=shared)
    arrangement: Any = perturb(part.build(make(), TASKS), by=0.1)
    for task in TASKS:
        merged: Any = HardSharing().build(make(), TASKS).eval()
        merged.heads.load_state_dict(arrangement.heads.state_dict())
        inserted = iter(arrangement.inserted)
        for layer in merged.trunk.layers:
            for name in places:
                at, product = next(inserted), site(layer, name)
                for low in (at.of[f"of_{task}"], *([at.shared] if shared else [])):
                    change: Any = 6 / 3 * low.B @ low.A
                    weight: Any = product.weight
                    weight += change if isinstance(product, nn.Linear) else change.T
        part_of = CHUNK.part(task)
        torch.testing.assert_close(arrangement(part_of)[task], merged(part_of)[task], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_merged_weights_write_the_same_with_beams() -> None:
    arrangement: Any = perturb(LoRA(rank=3, alpha=3, sites=("attn.c_attn",)).build(gpt2(), WRITING), by=0.5)
    merged: Any = HardSharing().build(gpt2(), WRITING).eval()
    for layer, at in zip(merged.trunk.layers, arrangement.inserted, strict=True):
        low: Any = at.of["of_beam"]
        layer.attn.c_attn.weight += (low.B @ low.A).T
    for trunk in (arrangement.trunk, merged.trunk):
        trunk.embeddings.weight.mul_(8.0)
        trunk.embeddings.weight[:3] = 0
    found, expected = (each.write(writing_chunk("beam"), WRITING["beam"]) for each in (arrangement, merged))
    assert all(map(len, found))
    assert [words.tolist() for words in found] == [words.tolist() for words in expected]


def test_what_is_shared_belongs_to_no_task() -> None:
    arrangement: Any = LoRA(shared=True).build(bert(), TASKS)
    own = {id(p) for task in TASKS for p in arrangement.own_parameters(task)}
    left = [name for name, p in arrangement.named_parameters() if id(p) not in own and not name.startswith("trunk.")]
    assert len(left) == 2 * 2 * 2
    assert all(".shared." in name for name in left)


def test_products_that_are_not_there_are_told() -> None:
    (first, second) = LoRA().problems(TASKS, gpt2())
    assert first.name == second.name == "architecture.sites"
    assert "`query`" in first.rule
    assert "attn.c_attn" in first.remedy
    assert len(list(MTLLoRA().problems(TASKS, gpt2()))) == 2


@pytest.mark.parametrize("recipe", [LoRA, MTLLoRA])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank = 0"),
        ({"alpha": 0.0}, "alpha = 0.0"),
        ({"sites": ()}, "one or more"),
        ({"sites": "query"}, "one or more"),
        ({"sites": ("query", "query")}, "different"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_bad_settings_are_told(recipe: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(**options)


@pytest.mark.parametrize(("options", "message"), [({"ups": 1}, "ups = 1"), ({"temperature": 0.0}, "temperature")])
def test_bad_settings_of_mtl_lora_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MTLLoRA(**options)


def test_mtl_lora_is_its_formula() -> None:
    trunk = bert()
    arrangement: Any = perturb(MTLLoRA(rank=2, alpha=6, ups=3, temperature=0.5, sites=("query",)).build(trunk, TASKS))
    at, product = arrangement.inserted[0], site(trunk.layers[0], "query")
    x = torch.randn(2, 3, 16)
    plain = product(x)
    for task in TASKS:
        scores = [w / 0.5 for w in at.w[f"of_{task}"].tolist()]
        weights = [torch.tensor(s).exp() / torch.tensor(scores).exp().sum() for s in scores]
        expected = plain
        for weight, B in zip(weights, at.B, strict=True):
            expected = expected + 6 / 2 * weight * (x @ (B @ at.Lambda[f"of_{task}"] @ at.A).T)
        with arrangement.route.alone(task):
            torch.testing.assert_close(product(x), expected)


def test_mtl_lora_begins_as_the_trunk_and_tells_its_ways_up_apart() -> None:
    torch.manual_seed(0)
    arrangement: Any = MTLLoRA().build(bert(), TASKS)
    plain: Any = HardSharing().build(bert(), TASKS)
    plain.heads.load_state_dict(arrangement.heads.state_dict())
    torch.testing.assert_close(arrangement.eval()(CHUNK)["mood"], plain.eval()(CHUNK)["mood"])
    arrangement(CHUNK)["mood"].square().sum().backward()
    grad = arrangement.inserted[0].B.grad
    assert not torch.allclose(grad[0], grad[1])


def test_scales_are_on_keys_values_and_inside_the_feed_forward_network() -> None:
    trunk = bert()
    arrangement: Any = perturb(IA3().build(trunk, TASKS))
    layer: Any = trunk.layers[0]
    keys, values, inner = (at.of["of_mood"].scale for at in arrangement.inserted[:3])
    assert (len(keys), len(values), len(inner)) == (16, 16, 32)
    x, wide, found = torch.randn(2, 3, 16), torch.randn(2, 3, 32), sites(layer)
    plain = found["key"](x), found["value"](x), found["outer"](wide * inner), found["query"](x)
    with arrangement.route.alone("mood"):
        torch.testing.assert_close(found["key"](x), plain[0] * keys)
        torch.testing.assert_close(found["value"](x), plain[1] * values)
        torch.testing.assert_close(found["outer"](wide), plain[2])
        assert torch.equal(found["query"](x), plain[3])
