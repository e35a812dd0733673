from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from tests.encoders.tiny import make
from torch import Tensor

from motet.architectures.heads import pool
from motet.architectures.parallel.cross_stitch import CrossStitch, mixtures, stitches
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.errors import RecipeError


def built(part: CrossStitch, kind: str = "bert", noise: float = 0.1) -> Any:
    arrangement: Any = part.build(make(kind), TASKS).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.columns.parameters():
            p.add_(noise * torch.randn_like(p))
    return arrangement


def by_hand(arrangement: Any, alpha: Tensor) -> dict[str, Tensor]:
    """The last states of the columns of a BERT, layer after layer in a plain loop."""
    model, first = arrangement.trunk.model, arrangement.columns.first
    mask = (1.0 - CHUNK.mask[:, None, None, :]) * torch.finfo(torch.float32).min
    begun = model.embeddings(input_ids=CHUNK.tokens)
    for layer in model.encoder.layer[:first]:
        begun = layer(begun, mask)
    states = dict.fromkeys(TASKS, begun)
    for place in range(len(model.encoder.layer) - first):
        stacks = {task: arrangement.columns.stack(task) for task in list(TASKS)[1:]}
        stacks["mood"] = model.encoder.layer[first:]
        found = {task: stacks[task][place](states[task], mask) for task in TASKS}
        states = {
            k: torch.stack([alpha[place, at, i] * found[other] for i, other in enumerate(TASKS)]).sum(0)
            for at, k in enumerate(TASKS)
        }
    return states


@pytest.mark.parametrize("first", [0, 1])
def test_columns_read_mixtures_after_every_layer(first: int) -> None:
    arrangement = built(CrossStitch(shared_layers=first))
    layers = 3 - first
    torch.manual_seed(2)
    alpha = torch.randn(layers, 3, 3)
    with torch.no_grad():
        arrangement.alpha.copy_(alpha.flatten())
    found, expected = arrangement(CHUNK), by_hand(arrangement, alpha)
    for task in ("mood", "count"):
        pooled = pool(expected[task], CHUNK.mask, "mean")[CHUNK.owned[task].rows]
        torch.testing.assert_close(found[task], arrangement.heads["of_" + task].linear(pooled), atol=1e-4, rtol=1e-4)
    row, place = CHUNK.owned["tags"].words  # type: ignore[misc]
    logits = arrangement.heads["of_tags"].linear(expected["tags"][row, place])
    torch.testing.assert_close(found["tags"], logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2", "modernbert"])
def test_columns_that_read_themselves_alone_are_models_of_their_own(kind: str) -> None:
    arrangement = built(CrossStitch(own=1.0, shared_layers=1), kind)
    plain = HardSharing().build(arrangement.trunk, TASKS).eval()
    plain.heads.load_state_dict(arrangement.heads.state_dict())
    found = arrangement(CHUNK)
    for task in TASKS:
        with arrangement.columns.standing_in(task, arrangement.trunk):
            torch.testing.assert_close(found[task], plain(CHUNK)[task], atol=1e-5, rtol=1e-5)


def test_mixtures_begin_with_what_is_own() -> None:
    arrangement = built(CrossStitch(own=0.7))
    alpha = arrangement.alpha.view(3, 3, 3)
    expected = torch.full((3, 3), 0.15).fill_diagonal_(0.7)
    for layer in alpha:
        torch.testing.assert_close(layer.detach(), expected)
    assert arrangement.alpha.ndim == 1  # so that it does not decay


def test_every_column_learns_from_every_task() -> None:
    arrangement = built(CrossStitch())
    for task in TASKS:
        arrangement.zero_grad()
        arrangement(CHUNK)[task].square().sum().backward()
        assert all(any(p.grad.any() for p in arrangement.columns.of(name)) for name in ("count", "tags"))
        assert {id(p) for p in arrangement.own_parameters(task)} == {id(p) for p in arrangement.heads.of(task)}


def test_weights_of_mixtures_add_up_to_one() -> None:
    for count in (1, 2, 5):
        torch.testing.assert_close(stitches(count, 0.3).sum(1), torch.ones(count))
    torch.testing.assert_close(stitches(4, 0.25), torch.full((4, 4), 0.25))


def test_mixtures_keep_their_weights_in_mixed_precision() -> None:
    weights = torch.tensor([[1.001, 0.0]], requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        (mixed,) = mixtures(weights, [torch.full((1000,), 1000.0), torch.ones(1000)])
    torch.testing.assert_close(mixed, torch.full((1000,), 1001.0))


@pytest.mark.parametrize("own", [0.0, 1.1])
def test_own_is_a_share(own: float) -> None:
    with pytest.raises(RecipeError, match="own"):
        CrossStitch(own=own)
