from __future__ import annotations

import torch
from torch import nn

from motet.balancing.gradients.draws import Draws


def drawn(draws: Draws, count: int = 3) -> list[list[float]]:
    return [torch.rand(4, generator=draws()).tolist() for _ in range(count)]


def test_the_same_seed_draws_the_same() -> None:
    assert drawn(Draws(7)) == drawn(Draws(7))
    assert drawn(Draws(7)) != drawn(Draws(8))
    first, second, third = drawn(Draws(7))
    assert first != second != third


def test_what_follows_does_not_depend_on_how_much_was_drawn() -> None:
    one, other = Draws(1), Draws(1)
    torch.rand(1, generator=one())
    torch.rand(1000, generator=other())
    assert drawn(one) == drawn(other)


def test_saved_draws_go_on() -> None:
    draws = Draws(3)
    drawn(draws)
    saved = {name: tensor.clone() for name, tensor in draws.state_dict().items()}
    assert saved["state"].dtype == torch.uint8
    expected = drawn(draws)
    fresh = Draws(99)
    fresh.load_state_dict(saved)
    assert drawn(fresh) == expected


def test_moving_what_holds_them_leaves_them_in_place() -> None:
    draws = Draws(3)
    nn.ModuleList([draws]).to(device="meta", dtype=torch.float16)
    assert draws.state.device.type == "cpu"
    assert drawn(draws) == drawn(Draws(3))
