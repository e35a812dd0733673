from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, chunk, owned
from transformers import AlbertConfig, AlbertModel, T5Config, T5ForConditionalGeneration

from motet.architectures.base import Architecture
from motet.architectures.modular.pruning import density, find_masks, prunable, pruned
from motet.architectures.modular.sparse_sharing import SparseSharing
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build
from motet.tasks.generation import Generation

FIRST = "model.encoder.layer.0.attention.self.query.weight"


def made(encoder: Path, part: Architecture) -> MultiTaskModel:
    torch.manual_seed(3)
    return build(Encoder(str(encoder)), part, TASKS).eval()


def masks_of(model: MultiTaskModel, task: str) -> dict[str, torch.Tensor]:
    masks: Any = model.arrangement.masks
    found: dict[str, torch.Tensor] = masks[f"of_{task}"]()
    return found


def weights_of(model: MultiTaskModel) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.arrangement.trunk.named_parameters()}


def test_without_masks_it_is_hard_sharing_to_the_bit(tiny_encoder: Path) -> None:
    plain, model = made(tiny_encoder, HardSharing()), made(tiny_encoder, SparseSharing())
    assert set(model.state_dict()) == set(plain.state_dict())
    expected, found = plain(CHUNK), model(CHUNK)
    for task in TASKS:
        assert torch.equal(found[task], expected[task])


def test_masks_that_keep_everything_change_nothing(tiny_encoder: Path) -> None:
    plain, model = made(tiny_encoder, HardSharing()), made(tiny_encoder, SparseSharing(density=0.5))
    arrangement: Any = model.arrangement
    for task in TASKS:
        arrangement.use(task, {name: torch.ones_like(w) for name, w in prunable(arrangement.trunk).items()})
    expected, found = plain(CHUNK), model(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


def test_a_task_reads_with_the_weights_of_its_mask(tiny_encoder: Path) -> None:
    """As hard sharing does whose other weights are zero."""
    model = made(tiny_encoder, SparseSharing(density=0.5, start="random"))
    found = model(CHUNK)
    for task in TASKS:
        plain = made(tiny_encoder, HardSharing())
        with torch.no_grad():
            for name, weight in prunable(plain.arrangement.trunk).items():
                weight[~masks_of(model, task)[name]] = 0
        torch.testing.assert_close(found[task], plain(CHUNK)[task], atol=1e-6, rtol=1e-6)


def test_a_task_moves_the_weights_of_its_mask_alone(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.5, start="random"))
    weights = prunable(model.arrangement.trunk)
    for task in TASKS:
        model.zero_grad()
        model(CHUNK)[task].square().sum().backward()
        for name, mask in masks_of(model, task).items():
            gradient = weights[name].grad
            assert gradient is not None
            assert not gradient[~mask].any()
            assert gradient[mask].any()


def test_the_masks_it_begins_with(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.3, start="random"))
    assert not torch.equal(masks_of(model, "mood")[FIRST], masks_of(model, "tags")[FIRST])
    assert density(masks_of(model, "mood")) == pytest.approx(0.3, abs=1e-4)
    model = made(tiny_encoder, SparseSharing(density=0.3))
    weights, masks = prunable(model.arrangement.trunk), masks_of(model, "mood")
    assert all(torch.equal(mask, masks_of(model, "tags")[name]) for name, mask in masks.items())
    assert density(masks) == pytest.approx(0.3, abs=1e-4)
    kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
    gone = torch.cat([weights[name][~mask].abs() for name, mask in masks.items()])
    assert kept.min() >= gone.max()


def test_the_trunk_keeps_the_names_of_its_weights(tiny_encoder: Path) -> None:
    plain, model = made(tiny_encoder, HardSharing()), made(tiny_encoder, SparseSharing(density=0.5))
    model(CHUNK)
    assert set(model.arrangement.trunk.state_dict()) == set(plain.arrangement.trunk.state_dict())
    assert all(isinstance(p, torch.nn.Parameter) for p in prunable(model.arrangement.trunk).values())


def test_masks_are_saved_with_the_model(tiny_encoder: Path, tmp_path: Path) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.5))
    arrangement: Any = model.arrangement
    masks = pruned(prunable(arrangement.trunk), masks_of(model, "tags"), 0.5)
    arrangement.use("tags", masks)
    model.save_pretrained(tmp_path)
    again = MultiTaskModel.from_pretrained(tmp_path)
    assert density(masks_of(again, "tags")) == pytest.approx(0.25, abs=1e-4)
    assert all(torch.equal(masks_of(again, "tags")[name], mask) for name, mask in masks.items())


def test_what_is_written_is_written_with_the_mask() -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    config.decoder_start_token_id = 0
    trunk = Trunk(T5ForConditionalGeneration(config)).eval()
    task = Generation("say", source="s", longest=4)
    arrangement: Any = SparseSharing(density=0.5).build(trunk, {"say": task})
    rows = chunk(say=owned(0, 1, 2, 3))
    states = []
    trunk.reader.register_forward_hook(lambda reader, given, read: states.append(read.last_hidden_state))
    arrangement.write(rows, task)
    with torch.no_grad():
        for name, mask in arrangement.masks["of_say"]().items():
            prunable(trunk)[name][~mask] = 0
        expected = trunk(rows.tokens, rows.mask).last
    torch.testing.assert_close(states[0], expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, "density = 0.0"),
        ({"density": 1.1}, "density = 1.1"),
        ({"start": "large"}, "start = large"),
        ({"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_settings_that_mean_nothing(settings: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        SparseSharing(**settings)


def test_layers_that_are_one_cannot_be_masked() -> None:
    config = AlbertConfig(
        vocab_size=9, embedding_size=4, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
    )
    trunk = Trunk(AlbertModel(config))
    (problem,) = SparseSharing(density=0.5).problems(TASKS, trunk)
    assert "passes one several times" in problem.rule
    assert not list(SparseSharing().problems(TASKS, trunk))


def test_without_masks_there_are_none_to_replace(tiny_encoder: Path) -> None:
    arrangement: Any = made(tiny_encoder, SparseSharing()).arrangement
    with pytest.raises(ValueError, match="density 1"):
        arrangement.use("mood", {})


def drifting(model: MultiTaskModel, log: list[str]) -> Any:
    """A way to train that draws a task's weights out by a factor of its own for each, and stirs all others."""

    def train(task: str) -> None:
        log.append(task)
        generator = torch.Generator().manual_seed(sorted(TASKS).index(task))
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(0.5 + torch.rand(p.shape, generator=generator)).add_(0.01)

    return train


@pytest.mark.parametrize(("rounds", "share"), [(1, 0.5), (4, 0.2), (10, 1 - 0.1**0.1)])
def test_the_density_after_some_rounds(tiny_encoder: Path, rounds: int, share: float) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.5))
    arrangement: Any = model.arrangement
    log: list[str] = []
    found = find_masks(arrangement, TASKS, drifting(model, log), rounds=rounds, share=share)
    count = sum(w.numel() for w in prunable(arrangement.trunk).values())
    for task in TASKS:
        assert density(found[task]) == pytest.approx((1 - share) ** rounds, abs=rounds / count)
    assert log == [task for task in TASKS for _ in range(rounds)]
    assert not torch.equal(found["mood"][FIRST], found["tags"][FIRST])


def test_the_search_leaves_the_model_as_it_was_but_for_its_masks(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    arrangement: Any = model.arrangement
    found = find_masks(arrangement, TASKS, drifting(model, []), rounds=2, share=0.3)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
    for task in TASKS:
        assert all(torch.equal(mask, masks_of(model, task)[name]) for name, mask in found[task].items())


def test_every_round_starts_from_the_same_weights_with_what_is_left(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.5))
    arrangement: Any = model.arrangement
    drift = drifting(model, [])
    starts, ends, left = [], [], []

    def train(task: str) -> None:
        starts.append(weights_of(model))
        left.append({name: mask.clone() for name, mask in masks_of(model, task).items()})
        drift(task)
        ends.append(weights_of(model))

    found = find_masks(arrangement, ["tags"], train, rounds=3, share=0.25)["tags"]
    assert all(torch.equal(start[name], starts[0][name]) for start in starts for name in start)
    assert density(left[0]) == 1
    for end, given, taken in zip(ends, left, [*left[1:], found], strict=True):
        kept = torch.cat([end[name][mask].abs() for name, mask in taken.items()])
        gone = torch.cat([end[name][given[name] & ~mask].abs() for name, mask in taken.items()])
        assert kept.min() >= gone.max()
        assert all(not (mask & ~given[name]).any() for name, mask in taken.items())
    names = set(found)
    assert not {name for name in names if "LayerNorm" in name or "embeddings" in name or name.endswith("bias")}
    assert len(names) == 2 * 6


def test_a_judge_chooses_among_the_rounds(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, SparseSharing(density=0.5))
    arrangement: Any = model.arrangement
    for scores, expected in (([1, 3, 2], 0.5), ([3, 2, 1], 1.0), ([1, 2, 3], 0.25)):
        told = iter(scores)
        found = find_masks(
            arrangement, ["tags"], drifting(model, []), rounds=2, share=0.5, judge=lambda task: next(told)
        )
        assert density(found["tags"]) == pytest.approx(expected, abs=1e-4)
