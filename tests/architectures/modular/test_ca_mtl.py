"""Conditions of a task: formulas against plain products, what is left out, and families of trunks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, bert, mpnet, perturb, writing_chunk
from tests.architectures.toys import CHUNK
from tests.architectures.toys import TASKS as TOYS
from tests.encoders.tiny import make

from motet.architectures.modular.ca_mtl import CAMTL
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import build

TOKENS = torch.tensor([[7, 8, 9, 0]])
MASK = torch.tensor([[1, 1, 1, 0]])
OFF: dict[str, Any] = {"attention": False, "alignment": False, "norms": False, "bottlenecks": 0}


def arranged(trunk: Any, **fields: Any) -> Any:
    part = CAMTL(task_size=3, length=4, blocks=2, **fields)
    return perturb(part.build(trunk, TASKS))


def factors(film: Any, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    made = z @ film.linear.weight.T + film.linear.bias
    return made[: len(made) // 2].view(film.shape), made[len(made) // 2 :].view(film.shape)


@pytest.mark.parametrize("length", [2, 4])
def test_blocks_lean_on_the_scores_of_all_heads(length: int) -> None:
    """Attention of the first layer, head by head; a text of three places reaches beyond a bias of two."""
    trunk = bert()
    part = CAMTL(**{**OFF, "attention": True}, task_size=3, length=length, blocks=2)
    arrangement: Any = perturb(part.build(trunk, TASKS))
    layer, inputs = trunk.layers[0], trunk.model
    attention: Any = arrangement.attention[0]
    gamma, beta = factors(attention.film, arrangement.z["of_mood"])
    side, bias = length // 2, torch.zeros(4, 4)
    for block in range(2):
        part_of = slice(side * block, side * (block + 1))
        bias[part_of, part_of] = attention.A[block] * (1 + gamma[block]) + beta[block]
    h = inputs.embeddings(input_ids=TOKENS[:, :3])  # type: ignore[operator]
    own: Any = layer.attention.self  # type: ignore[union-attr]
    found = torch.zeros(3, 16)
    for head in range(2):
        at = slice(8 * head, 8 * head + 8)
        q, k, v = (product(h)[0, :, at] for product in (own.query, own.key, own.value))
        found[:, at] = torch.softmax(bias[:3, :3] + q @ k.T / math.sqrt(8), dim=-1) @ v
    seen: list[Any] = []
    own.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    with arrangement.route.alone("mood"):
        trunk(TOKENS, MASK)
    torch.testing.assert_close(seen[0][0, :3], found, atol=1e-5, rtol=1e-5)


def test_alignment_is_a_product_that_a_task_modulates() -> None:
    trunk = bert()
    arrangement = arranged(trunk, **{**OFF, "alignment": True})
    (place,) = arrangement.inserted
    model: Any = trunk.model
    states = model.embeddings(input_ids=TOKENS)
    gamma, beta = factors(place.module.film, arrangement.z["of_topic"])
    seen: list[Any] = []
    trunk.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with arrangement.route.alone("topic"):
        trunk(TOKENS, MASK)
    torch.testing.assert_close(seen[0], states @ place.module.R * (1 + gamma) + beta)


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_norms_have_weights_of_the_task(kind: str) -> None:
    """With a shift and, in a Llama, without."""
    trunk = make(kind)
    arrangement = arranged(trunk, **{**OFF, "norms": True})
    place = arrangement.inserted[0]
    (norm,) = place.module._norm
    with torch.no_grad():
        for p in norm.parameters():
            p.add_(0.5 * torch.rand_like(p))
    gamma, beta = factors(place.module.film, arrangement.z["of_mood"])
    given, made = torch.randn(2, 3, 16), []
    with arrangement.route.alone("mood"):
        made.append(norm(given))
    with torch.no_grad():
        norm.weight.mul_(1 + gamma)
        expected = norm(given) + beta
    torch.testing.assert_close(made[0], expected)


def test_bottlenecks_stand_behind_the_highest_layers() -> None:
    trunk = bert()
    arrangement = arranged(trunk, **{**OFF, "bottlenecks": 1})
    (place,) = arrangement.inserted
    one = place.module
    z = arrangement.z["of_mood"]
    plain = trunk(TOKENS, MASK).last
    (g1, b1), (g2, b2) = factors(one.film_down, z), factors(one.film_up, z)
    inner = torch.nn.functional.gelu(plain @ one.down.weight.T * (1 + g1) + b1)
    with arrangement.route.alone("mood"):
        found = trunk(TOKENS, MASK).last
    torch.testing.assert_close(found, plain + inner @ one.up.weight.T * (1 + g2) + b2)
    assert one.down.out_features == 16 // 3


@pytest.mark.parametrize("on", [{}, {"attention": True}, {"alignment": True}, {"norms": True}, {"bottlenecks": 2}])
def test_every_part_begins_as_hard_sharing(tiny_encoder: Path, on: dict[str, Any]) -> None:
    plain = build(Encoder(str(tiny_encoder)), HardSharing(), TOYS).eval()
    model = build(Encoder(str(tiny_encoder)), CAMTL(**{**OFF, **on}), TOYS).eval()
    model.arrangement.heads.load_state_dict(plain.arrangement.heads.state_dict())
    expected, found = plain(CHUNK), model(CHUNK)
    for task in TOYS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


def test_a_part_that_is_off_has_no_weights() -> None:
    arrangement = arranged(bert(), **OFF)
    names = {name.split(".")[0] for name, _ in arrangement.named_parameters()}
    assert names == {"trunk", "heads", "z"}


def test_lower_layers_keep_their_weights() -> None:
    trunk = bert()
    arranged(trunk, frozen_layers=1)
    kept = {name for name, p in trunk.named_parameters() if not p.requires_grad}
    assert kept
    assert all("word_embeddings" in name or "layer.0." in name for name in kept)


def test_a_task_moves_what_is_shared_and_its_own_embedding() -> None:
    arrangement = arranged(bert())
    rows = writing_chunk("mood")
    arrangement(rows)["mood"].square().sum().backward()
    assert arrangement.z["of_mood"].grad.any()
    assert arrangement.z["of_topic"].grad is None
    assert all(place.module.film.linear.weight.grad.any() for place in arrangement.inserted[:-1])
    assert all(place.A.grad.any() for place in arrangement.attention)


def test_encoders_that_attend_in_a_way_of_their_own_are_refused() -> None:
    (problem,) = CAMTL().problems(TASKS, mpnet())
    assert "in a way of its own. Set it to false" in str(problem)
    assert not list(CAMTL(attention=False).problems(TASKS, mpnet()))
    (problem,) = CAMTL().problems(TASKS, make("albert"))
    assert "passes one several times" in str(problem)
    found = [str(problem) for problem in CAMTL(bottlenecks=3, frozen_layers=4).problems(TASKS, bert())]
    assert ["must be 0 to 2" in text for text in found] == [True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 10, "blocks": 4}, r"blocks = 4\n    must divide `length` \(10\)"),
        ({"bottlenecks": -1}, "bottlenecks = -1"),
        ({"frozen_layers": -1}, "frozen_layers = -1"),
        ({"task_size": 0}, "task_size = 0"),
        ({"reduction": 0}, "reduction = 0"),
        ({"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_bad_settings_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        CAMTL(**options)
