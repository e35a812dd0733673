from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, bert, gpt2, perturb, t5
from tests.architectures.toys import chunk, owned
from torch import Tensor
from torch.nn import functional

from motet.architectures.modular.pals import PALs
from motet.errors import RecipeError

CHUNK = chunk(mood=owned(0, 1, 2), topic=owned(1, 3))


def pal(module: Any, place: int, h: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """GELU(V_D MHA(V_E h)) of one row without padding, head by head and place by place."""
    low = h @ module.V_E.weight.T
    if module.attention:
        own = module.attention[place]
        q, k, v = (low @ linear.weight.T for linear in (own.query, own.key, own.value))
        size = q.shape[-1] // heads
        out = torch.zeros_like(low)
        for at in range(len(low)):
            seen = slice(0, at + 1) if causal else slice(None)
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                weights = torch.softmax(k[seen, part] @ q[at, part] / math.sqrt(size), dim=0)
                out[at, part] = weights @ v[seen, part]
        low = out
    return functional.gelu(low @ module.V_D.weight.T)


@pytest.mark.parametrize("attention", [True, False])
def test_a_layer_adds_what_a_task_makes_of_its_input(attention: bool) -> None:
    trunk = bert()
    arrangement: Any = perturb(PALs(rank=6, heads=2, attention=attention).build(trunk, TASKS))
    tokens = torch.tensor([[7, 8, 9]])
    model: Any = trunk.model
    states = model.embeddings(input_ids=tokens)
    module = arrangement.pals["of_mood"]
    h = states
    layers: Any = trunk.layers
    for place, layer in enumerate(layers):
        attended = layer.attention(h)[0]
        inner = layer.output.dense(functional.gelu(layer.intermediate.dense(attended)))
        h = layer.output.LayerNorm(inner + attended + pal(module, place, h[0], 2)[None])
    with arrangement.route.alone("mood"):
        found = trunk(tokens, torch.ones_like(tokens)).last
    torch.testing.assert_close(found, h, atol=1e-5, rtol=1e-5)


def test_in_a_decoder_no_place_sees_a_later_one() -> None:
    trunk = gpt2()
    arrangement: Any = perturb(PALs(rank=6, heads=2).build(trunk, TASKS))
    tokens = torch.tensor([[7, 8, 9, 10]])
    with arrangement.route.alone("mood"):
        whole = trunk(tokens, torch.ones_like(tokens)).last
        short = trunk(tokens[:, :2], torch.ones(1, 2, dtype=torch.long)).last
    torch.testing.assert_close(whole[:, :2], short, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [bert, t5, gpt2])
def test_padding_is_not_attended_to(make: Any) -> None:
    arrangement: Any = perturb(PALs(rank=6, heads=2).build(make(), TASKS))
    tokens = CHUNK.tokens.clone()
    tokens[CHUNK.mask == 0] = 20
    found = arrangement(type(CHUNK)(tokens, CHUNK.mask, None, CHUNK.owned, CHUNK.real))
    for task, logits in arrangement(CHUNK).items():
        torch.testing.assert_close(found[task], logits, atol=1e-5, rtol=1e-5)


def test_projections_are_shared_by_layers_and_attention_is_not() -> None:
    arrangement: Any = PALs(rank=6, heads=2).build(bert(), TASKS)
    assert sum(p.numel() for p in arrangement.pals["of_mood"].parameters()) == 2 * 16 * 6 + 2 * 3 * 6 * 6
    low: Any = PALs(rank=6, attention=False).build(bert(), TASKS)
    assert sum(p.numel() for p in low.pals["of_mood"].parameters()) == 2 * 16 * 6


def test_the_trunk_is_trained_unless_it_is_frozen() -> None:
    assert all(p.requires_grad for p in PALs(rank=6, heads=2).build(bert(), TASKS).trunk.parameters())
    frozen = PALs(rank=6, heads=2, freeze=True).build(bert(), TASKS)
    assert not any(p.requires_grad for p in frozen.trunk.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"rank": 0}, "rank = 0"), ({"heads": 0}, "heads = 0"), ({"rank": 10, "heads": 3}, "must divide `rank`")],
)
def test_bad_settings_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PALs(**options)


def test_without_attention_any_rank_will_do() -> None:
    assert PALs(rank=10, heads=3, attention=False).rank == 10
