from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from motet.architectures.heads import Head, LanguageHead, Pooling, by_family, pool
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.data.batches import Chunk, Owned
from motet.encoders.loading import Encoder
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.tagging import Tagging

TASKS: dict[str, Task] = {
    "low": Classification("low", source="s", classes=("a", "b")),
    "high": Classification("high", source="s", classes=("a", "b")),
    "tags": Tagging("tags", source="s", classes=("O", "B"), outside="O"),
}
POOLINGS: tuple[Pooling, ...] = ("auto", "last", "mean", "cls")


def owned(*rows: int, words: list[tuple[int, int]] | None = None) -> Owned:
    lengths: Any = [1] * len(rows)
    at = None if words is None else torch.tensor(words).T
    return Owned(torch.tensor(rows), at, lengths, lengths)


def chunk(**tasks: Owned) -> Chunk:
    tokens = torch.tensor([[2, 9, 10, 3], [2, 11, 3, 0], [2, 12, 3, 0]])
    return Chunk(tokens, (tokens > 0).long(), None, tasks, 10)


CHUNK = chunk(low=owned(0, 1, 2), high=owned(1, 2), tags=owned(0, 2, words=[(0, 1), (0, 2), (2, 1)]))


@pytest.fixture
def make_model(tiny_encoder: Path) -> Any:
    return lambda architecture: build(Encoder(str(tiny_encoder)), architecture, TASKS).eval()


def reached(model: MultiTaskModel, task: str) -> set[str]:
    """The parameters that the answer of a task has a gradient for."""
    model.zero_grad()
    model(CHUNK)[task].square().sum().backward()
    return {name for name, p in model.arrangement.named_parameters() if p.grad is not None and p.grad.any()}


def parts(names: set[str]) -> set[str]:
    """The layers, heads and own layers among parameters."""
    return {".".join(name.split(".")[: 5 if name.startswith("trunk") else 2]) for name in names}


FIRST, SECOND = "trunk.model.encoder.layer.0", "trunk.model.encoder.layer.1"


def test_logits_are_by_unit(make_model: Any) -> None:
    logits = make_model(HardSharing())(CHUNK)
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        "low": (3, 2),
        "high": (2, 2),
        "tags": (3, 2),
    }


def test_a_task_reaches_only_the_layers_up_to_the_one_it_reads(make_model: Any) -> None:
    model = make_model(HardSharing(read_layer={"low": 1, "high": 2}))
    low, high, tags = (parts(reached(model, task)) for task in ("low", "high", "tags"))
    assert FIRST in low
    assert SECOND not in low
    assert {FIRST, SECOND} <= high
    assert {FIRST, SECOND} <= tags
    assert "heads.of_low" in low
    assert not {"heads.of_high", "heads.of_tags"} & low
    assert not {"heads.of_low", "heads.of_tags"} & high


def test_the_last_layer_is_what_is_read_by_default(make_model: Any) -> None:
    torch.manual_seed(0)
    default = make_model(HardSharing())(CHUNK)
    torch.manual_seed(0)
    named = make_model(HardSharing(read_layer={"low": 2, "tags": 1}))(CHUNK)
    torch.testing.assert_close(default["low"], named["low"])
    assert not torch.allclose(default["tags"], named["tags"])


def test_own_layers_get_gradients_from_their_task_alone(make_model: Any) -> None:
    model = make_model(HardSharing(task_layers={"low": 2, "high": 0}))
    assert "layers.of_low" in parts(reached(model, "low"))
    assert {FIRST, SECOND} <= parts(reached(model, "low"))
    assert "layers.of_low" not in parts(reached(model, "high"))
    own = {id(p) for p in model.arrangement.own_parameters("low")}
    named = {name for name, p in model.arrangement.named_parameters() if id(p) in own}
    assert parts(named) == {"heads.of_low", "layers.of_low"}
    assert len(list(model.arrangement.own_parameters("high"))) == 2


def test_padding_changes_no_answer_of_own_layers(make_model: Any) -> None:
    model = make_model(HardSharing(task_layers={"low": 1, "tags": 1}))
    alone = Chunk(
        CHUNK.tokens[2:, :3], CHUNK.mask[2:, :3], None, {"low": owned(0), "tags": owned(0, words=[(0, 1)])}, 3
    )
    whole, single = model(CHUNK), model(alone)
    torch.testing.assert_close(whole["low"][2:], single["low"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole["tags"][2:], single["tags"], atol=1e-5, rtol=1e-5)


def test_pooling() -> None:
    states = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    assert pool(states, mask, "cls").tolist() == [[0, 1], [6, 7]]
    assert pool(states, mask, "mean").tolist() == [[2, 3], [7, 8]]
    assert pool(states, mask, "last").tolist() == [[4, 5], [8, 9]]


@pytest.mark.parametrize(("family", "pooling"), [("encoder", "mean"), ("encoder-decoder", "mean"), ("decoder", "last")])
def test_pooling_by_family(family: Any, pooling: str) -> None:
    assert by_family("auto", family) == pooling
    assert by_family("cls", family) == "cls"


def test_a_decoder_is_read_at_its_last_token() -> None:
    config = GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    trunk = Trunk(GPT2LMHeadModel(config)).eval()
    task = {"high": TASKS["high"]}
    chosen = {pooling: HardSharing(pooling=pooling) for pooling in POOLINGS}
    models = {pooling: part.build(trunk, task).eval() for pooling, part in chosen.items()}
    for model in models.values():
        model.load_state_dict(models["auto"].state_dict())
    only = chunk(high=owned(0, 1, 2))
    found = {pooling: model(only)["high"] for pooling, model in models.items()}
    assert torch.equal(found["auto"], found["last"])
    assert not torch.allclose(found["auto"], found["mean"])
    assert not torch.allclose(found["auto"], found["cls"])


@pytest.mark.parametrize("embedding", [None, 6, 4])
def test_a_language_head_multiplies_by_the_embeddings_that_it_is_handed(embedding: int | None) -> None:
    head = LanguageHead(6, 11, embedding=embedding)
    features, embeddings = torch.randn(3, 6), torch.randn(11, embedding or 6, requires_grad=True)
    with torch.no_grad():
        head.bias.copy_(torch.arange(11.0))
    hidden = head.dense(features)
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    hidden = (hidden - hidden.mean(1, keepdim=True)) / (hidden.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = head.projection(hidden) @ embeddings.T + torch.arange(11.0)
    logits = head(features, embeddings)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    logits.sum().backward()
    assert embeddings.grad is not None
    assert set(head.state_dict()) == {"dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias"} | (
        {"projection.weight", "projection.bias"} if embedding == 4 else set()
    )


def test_a_word_is_read_at_its_place() -> None:
    head = Head("word", 2, 2, pooling="mean", dropout=0.0)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(2))
        head.linear.bias.zero_()
    states = torch.arange(12.0).reshape(2, 3, 2)
    found = head(states, torch.ones(2, 3), owned(0, 1, words=[(0, 2), (1, 0), (1, 1)]))
    assert found.tolist() == [[4, 5], [6, 7], [8, 9]]
    with pytest.raises(ValueError, match="positions of the words"):
        head(states, torch.ones(2, 3), owned(0, 1))


def test_dropout_acts_while_training_only(make_model: Any) -> None:
    model = make_model(HardSharing(dropout=0.5))
    assert torch.equal(model(CHUNK)["low"], model(CHUNK)["low"])
    model.train()
    assert not torch.equal(model(CHUNK)["low"], model(CHUNK)["low"])


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_is_a_share(dropout: float) -> None:
    with pytest.raises(RecipeError, match="dropout"):
        HardSharing(dropout=dropout)


def test_what_does_not_fit_tasks_or_trunk(make_model: Any) -> None:
    trunk = make_model(HardSharing()).arrangement.trunk
    part = HardSharing(read_layer={"low": 0, "high": 7, "lo": 1}, task_layers={"high": -1, "tgas": 1, "tags": 0})
    problems = {problem.name: problem for problem in part.problems(TASKS, trunk)}
    assert set(problems) == {
        "architecture.read_layer.low",
        "architecture.read_layer.high",
        "architecture.read_layer.lo",
        "architecture.task_layers.high",
        "architecture.task_layers.tgas",
    }
    assert "Did you mean `tags`?" in problems["architecture.task_layers.tgas"].rule
    assert list(HardSharing(read_layer={"low": 2}).problems(TASKS, trunk)) == []
