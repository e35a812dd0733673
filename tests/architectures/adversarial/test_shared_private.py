from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, chunk, owned

from motet.architectures.adversarial.shared_private import SharedPrivate, overlap
from motet.architectures.base import Architecture
from motet.data.batches import Owned
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build
from motet.tasks.language import MaskedLanguage


def made(encoder: Path, part: Architecture, tasks: Any = TASKS) -> MultiTaskModel:
    torch.manual_seed(3)
    return build(Encoder(str(encoder)), part, tasks).train()


def features(rows: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_overlap_is_the_mean_square_of_products_over_rows() -> None:
    S, H = features(5, 3, 0), features(5, 4, 1)

    def ready(given: np.ndarray) -> np.ndarray:
        centred = given - given.mean(axis=0)
        return np.stack([row / np.sqrt((row**2).sum()) for row in centred])

    product = ready(S.numpy()).T @ ready(H.numpy())
    assert overlap(S, H).item() == pytest.approx(sum(x**2 for row in product for x in row) / 12)


def test_overlap_does_not_change_when_features_are_turned_or_moved() -> None:
    S, H = features(6, 4, 0), features(6, 4, 1)
    turn, other = (torch.linalg.qr(features(4, 4, seed))[0] for seed in (2, 3))
    torch.testing.assert_close(overlap(S @ turn, H @ other), overlap(S, H))
    torch.testing.assert_close(overlap(S + 7, 3 * H - 2), overlap(S, H))
    assert not torch.isclose(overlap(S, H.flip(0)), overlap(S, H))


def test_overlap_is_nothing_for_orthogonal_features_and_most_for_equal_ones() -> None:
    S = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    H = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert overlap(S, H).item() == 0
    assert overlap(S, S).item() == pytest.approx(16)


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_without_a_difference_have_no_overlap_and_no_gradient(rows: int) -> None:
    S, H = (row.expand(rows, -1).clone().requires_grad_() for row in (features(1, 4, 0), features(1, 4, 1)))
    loss = overlap(S, H)
    assert loss.item() < 1e-6
    for gradient in torch.autograd.grad(loss, [S, H]):
        assert gradient.abs().max() < 1e-2


def test_its_losses_are_those_of_the_states_that_heads_read(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SharedPrivate(gamma=0.3, lambda_adv=0.0, dropout=0.0))
    read: dict[str, torch.Tensor] = {}
    heads: Any = model.arrangement.heads
    for task in TASKS:
        heads[f"of_{task}"].register_forward_hook(
            lambda head, given, said, task=task: read.update({task: (given[0], given[1])})
        )
    model(CHUNK)
    expected = torch.zeros(())
    for states, mask in read.values():
        real = mask[:, :, None]
        pooled = (states * real).sum(dim=1) / real.sum(dim=1)
        expected = expected + 0.3 * overlap(*pooled.chunk(2, dim=1))
    assert set(model.arrangement.extras) == {"orthogonality"}
    torch.testing.assert_close(model.arrangement.extras["orthogonality"], expected)
    assert expected > 0


def test_the_overlap_pushes_both_sides_and_the_discriminator_the_shared_one(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SharedPrivate(ramp=None))
    reached = {}
    for loss in ("orthogonality", "adversarial"):
        model.zero_grad()
        model(CHUNK)
        model.arrangement.begin(1, 2)
        model(CHUNK)
        model.arrangement.extras[loss].backward()  # type: ignore[no-untyped-call]
        named = model.arrangement.named_parameters()
        reached[loss] = {name.split(".")[0] for name, p in named if p.grad is not None and p.grad.any()}
    assert reached == {"orthogonality": {"trunk", "private"}, "adversarial": {"trunk", "discriminator"}}


def test_private_layers_start_beside_the_upper_layers_of_the_trunk(tiny_encoder: Path) -> None:
    for part, below in ((SharedPrivate(), 1), (SharedPrivate(private_layers=2), 0), (SharedPrivate(branch=2), 2)):
        model = made(tiny_encoder, part).eval()
        seen: list[torch.Tensor] = []
        private: Any = model.arrangement.private
        private["of_mood"].register_forward_pre_hook(lambda layers, given: seen.append(given[0]))
        model(CHUNK)
        states = model.arrangement.trunk(CHUNK.tokens, CHUNK.mask, inner=True)
        torch.testing.assert_close(seen[0], states.layers[below][CHUNK.owned["mood"].rows])


def test_private_layers_belong_to_their_task(tiny_encoder: Path) -> None:
    arrangement: Any = made(tiny_encoder, SharedPrivate()).arrangement
    own = {id(p) for p in arrangement.own_parameters("mood")}
    assert {id(p) for p in arrangement.private["of_mood"].parameters()} <= own
    assert len(own) == len(list(arrangement.private["of_mood"].parameters())) + 2


def test_rows_without_labels_take_part(tiny_encoder: Path) -> None:
    tasks = {"mood": TASKS["mood"], "words": MaskedLanguage("words", source="s"), "count": TASKS["count"]}
    groups = {"mood": "books", "words": "books", "count": "films"}
    model = made(tiny_encoder, SharedPrivate(groups=groups, ramp=None, gamma=0.0), tasks)
    hidden = Owned(torch.tensor([2, 3]), torch.tensor([[2, 3], [1, 1]]), np.array([1, 1]), np.array([0, 1]))
    rows: list[torch.Tensor] = []
    model.arrangement.trunk.register_forward_hook(lambda trunk, given, read: rows.append(read.last))
    model.arrangement.begin(1, 2)
    said = model(chunk(mood=owned(0), count=owned(1), words=hidden))
    assert said["words"].shape == (2, model.arrangement.trunk.vocabulary)
    (reached,) = torch.autograd.grad(model.arrangement.extras["adversarial"], rows)
    assert reached.flatten(1).any(dim=1).tolist() == [True] * 4


def test_weights_of_zero_leave_the_losses_out(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SharedPrivate(lambda_adv=0.0, gamma=0.0))
    model.arrangement.begin(1, 2)
    model(CHUNK)
    assert not model.arrangement.extras
    assert not [name for name, _ in model.named_parameters() if "discriminator" in name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"private_layers": 0}, "private_layers = 0"),
        ({"gamma": -0.1}, "gamma = -0.1"),
        ({"lambda_adv": -0.1}, "lambda_adv = -0.1"),
    ],
)
def test_settings_that_mean_nothing(settings: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        SharedPrivate(**settings)


def test_what_does_not_fit_the_trunk(tiny_encoder: Path) -> None:
    trunk = made(tiny_encoder, SharedPrivate()).arrangement.trunk
    found = {
        problem.name: problem.rule
        for part in (SharedPrivate(branch=3), SharedPrivate(private_layers=3), SharedPrivate(groups={"tgas": "x"}))
        for problem in part.problems(TASKS, trunk)
    }
    assert found["architecture.branch"] == "must be 0 to 2"
    assert "at most 2" in found["architecture.private_layers"]
    assert "Did you mean `tags`?" in found["architecture.groups.tgas"]
    assert not list(SharedPrivate(private_layers=3, branch=2).problems(TASKS, trunk))
