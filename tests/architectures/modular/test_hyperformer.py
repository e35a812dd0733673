from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, bert, perturb
from torch.nn import functional

from motet.architectures.modular.hyperformer import Hyperformer
from motet.architectures.routing import site
from motet.errors import RecipeError

PART = Hyperformer(task_size=6, place_size=4, hidden=8, size=5, reduction=4)


def test_an_adapter_is_generated_for_task_and_place() -> None:
    trunk = bert()
    arrangement: Any = perturb(PART.build(trunk, TASKS))
    net = arrangement.hypernetwork
    h = torch.randn(2, 3, 16)
    wide = torch.randn(2, 3, 32)
    for task in TASKS:
        for at, layer in enumerate(trunk.layers):
            for block, (role, given) in enumerate((("attention", h), ("outer", wide))):
                product = site(layer, role)
                plain = product(given)
                places = net.layers.weight[at], net.blocks.weight[block]
                e = torch.cat([net.tasks[f"of_{task}"], *places])
                first, last, norm = net.mlp[0], net.mlp[2], net.mlp[3]
                z = norm(last(torch.relu(first(e))))
                D = (net.down[0].weight @ z + net.down[0].bias).view(4, 16)
                U = (net.up[0].weight @ z + net.up[0].bias).view(16, 4)
                gamma, beta = (g[0].weight @ z + g[0].bias for g in (net.gamma, net.beta))
                inner = functional.gelu(plain @ D.T) @ U.T
                centred = inner - inner.mean(-1, keepdim=True)
                normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
                with arrangement.route.alone(task):
                    torch.testing.assert_close(product(given), plain + gamma * normed + beta, atol=1e-5, rtol=1e-4)


def test_only_its_embedding_and_head_belong_to_a_task() -> None:
    arrangement: Any = PART.build(bert(), TASKS)
    own = list(arrangement.own_parameters("mood"))
    assert sum(p.numel() for p in own) == 6 + 16 * 3 + 3


def test_it_begins_near_the_trunk() -> None:
    torch.manual_seed(0)
    trunk = bert()
    arrangement: Any = PART.build(trunk, TASKS)
    tokens = torch.tensor([[7, 8, 9]])
    plain = trunk(tokens, torch.ones_like(tokens)).last
    with arrangement.route.alone("mood"):
        found = trunk(tokens, torch.ones_like(tokens)).last
    assert 0 < float((found - plain).detach().abs().mean()) < 0.2


@pytest.mark.parametrize("name", ["task_size", "place_size", "hidden", "size", "reduction"])
def test_bad_settings_are_told(name: str) -> None:
    options: Any = {name: 0}
    with pytest.raises(RecipeError, match=f"{name} = 0"):
        Hyperformer(**options)
