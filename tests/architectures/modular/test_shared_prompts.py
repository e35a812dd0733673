from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, chunk, owned
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from motet.architectures.base import Architecture
from motet.architectures.modular.attempt import ATTEMPT
from motet.architectures.modular.mpt import MPT
from motet.architectures.modular.prepending import similarities, transfer
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build
from motet.tasks.generation import Generation


def made(encoder: Path, part: Architecture) -> MultiTaskModel:
    torch.manual_seed(3)
    return build(Encoder(str(encoder), max_length=28), part, TASKS).eval()


def prompts(model: MultiTaskModel) -> Any:
    return model.arrangement.prompts


TEXTS = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(5))
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


@pytest.mark.parametrize("competes", [False, True])
def test_attempt_adds_what_each_text_makes_of_the_sources(tiny_encoder: Path, competes: bool) -> None:
    part = ATTEMPT(length=4, sources=3, bottleneck=5, temperature=2.0, target_competes=competes)
    of = prompts(made(tiny_encoder, part))
    target, network = of.of["of_mood"], of.attention["of_"]
    others = [*of.sources, target] if competes else [*of.sources]
    for row, real in enumerate((3, 2)):
        largest = TEXTS[row, :real].max(dim=0).values
        low = network.down.weight @ largest
        high = network.up.weight @ (low * torch.sigmoid(low))
        looked = (high - high.mean()) / (high.var(correction=0) + 1e-5).sqrt()
        scores = torch.stack([prompt.max(dim=0).values @ looked / 2 for prompt in others])
        weights = scores.exp() / scores.exp().sum()
        expected = target + sum(weight * prompt for weight, prompt in zip(weights, others, strict=True))
        torch.testing.assert_close(of("mood", TEXTS, MASK)[row], expected, atol=1e-5, rtol=1e-5)


def test_at_a_high_temperature_sources_count_alike(tiny_encoder: Path) -> None:
    of = prompts(made(tiny_encoder, ATTEMPT(length=4, sources=3, temperature=1e9)))
    expected = of.of["of_tags"] + of.sources.mean(dim=0)
    torch.testing.assert_close(of("tags", TEXTS, MASK), expected.expand(2, -1, -1), atol=1e-5, rtol=1e-5)


def test_sources_may_be_put_in_place_and_kept(tiny_encoder: Path) -> None:
    of = prompts(made(tiny_encoder, ATTEMPT(length=2, sources=1, freeze_sources=True)))
    of.take(torch.full((1, 2, 32), 7.0))
    torch.testing.assert_close(of("mood", TEXTS, MASK)[0], of.of["of_mood"] + 7)
    assert not of.sources.requires_grad
    assert prompts(made(tiny_encoder, ATTEMPT(length=2))).sources.requires_grad


@pytest.mark.parametrize("rank", [1, 3])
def test_mpt_multiplies_the_shared_prompt(tiny_encoder: Path, rank: int) -> None:
    of = prompts(made(tiny_encoder, MPT(length=4, rank=rank)))
    for task in TASKS:
        torch.testing.assert_close(of(task, TEXTS, MASK)[0], of.shared)
    u, v = of.u["of_mood"], of.v["of_mood"]
    with torch.no_grad():
        u.copy_(torch.randn_like(u))
        v.copy_(torch.randn_like(v))
    entries = [[sum(a * b for a, b in zip(row, column, strict=True)) for column in v.tolist()] for row in u.tolist()]
    matrix = torch.tensor(entries)
    torch.testing.assert_close(of("mood", TEXTS, MASK)[1], of.shared * matrix, atol=1e-5, rtol=1e-5)
    assert torch.linalg.matrix_rank(matrix) == rank
    torch.testing.assert_close(of("tags", TEXTS, MASK)[0], of.shared)
    assert not prompts(made(tiny_encoder, MPT(freeze_prompt=True))).shared.requires_grad


def test_prompts_are_words_in_front(tiny_encoder: Path) -> None:
    """Vectors of words as a prompt are these words before the text."""
    model = made(tiny_encoder, MPT(length=3))
    plain = made(tiny_encoder, HardSharing())
    plain.arrangement.heads.load_state_dict(model.arrangement.heads.state_dict())
    words = torch.tensor([7, 20, 33])
    with torch.no_grad():
        prompts(model).shared.copy_(model.arrangement.trunk.embeddings(words))
    front = torch.cat([words.expand(4, -1), CHUNK.tokens], dim=1)
    mask = torch.cat([torch.ones(4, 3, dtype=torch.long), CHUNK.mask], dim=1)
    states = plain.arrangement.trunk(front, mask).last[:, 3:]
    found = model(CHUNK)
    for task in TASKS:
        expected = plain.arrangement.heads.answer(task, plain.arrangement.trunk, states, CHUNK)
        torch.testing.assert_close(found[task], expected, atol=1e-5, rtol=1e-5)


def test_a_copy_makes_prompts_of_its_own(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, MPT(length=3))
    again = copy.deepcopy(model.arrangement)
    prompts_of: Any = again.prompts
    before = model(CHUNK)["mood"]
    with torch.no_grad():
        prompts_of.shared.neg_()
    assert torch.equal(model(CHUNK)["mood"], before)
    assert not torch.allclose(again(CHUNK)["mood"], before)


def test_the_prompts_alone_are_learned_beside_heads(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, MPT(length=3))
    trained = {name.split(".")[0] for name, p in model.arrangement.named_parameters() if p.requires_grad}
    assert trained == {"prompts", "heads"}
    assert made(tiny_encoder, MPT(freeze=False)).arrangement.trunk.embeddings.weight.requires_grad


@pytest.mark.parametrize("part", [MPT(length=3), ATTEMPT(length=3, sources=2)])
def test_an_encoder_decoder_writes_behind_prompts(part: Architecture) -> None:
    torch.manual_seed(0)
    config = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    config.decoder_start_token_id = 0
    trunk = Trunk(T5ForConditionalGeneration(config)).eval()
    task = Generation("say", source="s", longest=4)
    arrangement: Any = part.build(trunk, {"say": task})
    rows = chunk(say=owned(0, 1, 2, 3))
    before = trunk.generate(rows.tokens, rows.mask, longest=4)
    assert [len(words) for words in arrangement.write(rows, task)] == [len(words) for words in before]
    seen = []
    trunk.reader.register_forward_hook(lambda reader, given, read: seen.append(read.last_hidden_state))
    arrangement.write(rows, task)
    assert seen[0].shape == (4, 5, 8)
    assert not torch.allclose(seen[0], trunk(rows.tokens, rows.mask).last)


def test_a_prompt_made_of_a_text_must_not_see_what_is_to_be_written() -> None:
    config = GPT2Config(vocab_size=20, n_positions=40, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    trunk = Trunk(GPT2LMHeadModel(config))
    tasks = {"say": Generation("say", source="s", longest=4), "mood": TASKS["mood"]}
    (problem,) = ATTEMPT(length=3).problems(tasks, trunk)
    assert problem.name == "tasks.say"
    assert "give away" in problem.rule
    assert not list(MPT(length=3).problems(tasks, trunk))


def test_prompts_are_handed_on() -> None:
    targets = {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3)}
    sources = {"x": torch.ones(2, 3), "y": torch.full((2, 3), 2.0)}
    transfer(targets, sources, {"b": "y"})
    assert targets["a"].sum() == 0
    assert torch.equal(targets["b"], sources["y"])
    with pytest.raises(ValueError, match=r"prompt of `x` does not fit that of `a`: \(2, 3\) for \(1, 3\)"):
        transfer({"a": torch.zeros(1, 3)}, sources, {"a": "x"})


def test_similar_prompts_point_the_same_way_on_average() -> None:
    sources = {"far": torch.tensor([[9.0, 0.0], [9.0, 0.0]]), "near": torch.tensor([[0.0, 4.0], [0.2, -2.0]])}
    found = similarities({"new": torch.tensor([[5.0, 0.1], [-5.0, 0.1]])}, sources)["new"]
    assert found["near"] > 0.99
    assert found["far"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        (MPT, {"rank": 0}, "rank = 0"),
        (MPT, {"length": -1}, "length = -1"),
        (ATTEMPT, {"sources": 0}, "sources = 0"),
        (ATTEMPT, {"bottleneck": 0}, "bottleneck = 0"),
        (ATTEMPT, {"temperature": 0.0}, "temperature = 0.0"),
        (ATTEMPT, {"dropout": 1.0}, "dropout = 1.0"),
    ],
)
def test_settings_that_mean_nothing(part: Any, settings: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        part(**settings)


def test_texts_need_room(tiny_encoder: Path) -> None:
    told = r"encoder.max_length = 28\n    must leave 101 of the 128 positions .* At most 27 are left"
    with pytest.raises(RecipeError, match=told):
        made(tiny_encoder, MPT(length=101))
    model = made(tiny_encoder, MPT(length=100))
    (problem,) = MPT(length=128).problems(TASKS, model.arrangement.trunk)
    assert problem.name == "architecture.length"
