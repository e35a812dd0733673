from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, chunk, owned

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.architectures.parallel.multi_level import MultiLevel
from motet.encoders.loading import Encoder
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build
from motet.tasks.base import Task
from motet.tasks.generation import Generation
from motet.tasks.language import MaskedLanguage

FIRST, SECOND = "encoder.layer.0", "encoder.layer.1"
WORDS: Task = MaskedLanguage("words", source="s")


def made(encoder: Path, architecture: Any, tasks: dict[str, Task] = TASKS) -> MultiTaskModel:
    torch.manual_seed(0)
    return build(Encoder(str(encoder)), architecture, tasks).eval()


def layers_reached(model: MultiTaskModel, task: str, rows: Any = CHUNK) -> set[str]:
    model.zero_grad()
    model(rows)[task].square().sum().backward()
    named = model.arrangement.trunk.model.named_parameters()
    found = {name for name, p in named if p.grad is not None and p.grad.any()}
    return {layer for layer in (FIRST, SECOND) if any(name.startswith(layer) for name in found)}


def test_without_short_cuts_it_is_hard_sharing_at_the_same_layers(tiny_encoder: Path) -> None:
    one, other = (
        made(tiny_encoder, MultiLevel(layers={"tags": 1})),
        made(tiny_encoder, HardSharing(read_layer={"tags": 1})),
    )
    for task in TASKS:
        assert torch.equal(one(CHUNK)[task], other(CHUNK)[task])
    assert layers_reached(one, "tags") == {FIRST}
    assert layers_reached(one, "mood") == {FIRST, SECOND}


def test_a_language_model_may_stand_on_low_layers(tiny_encoder: Path) -> None:
    tasks = {**TASKS, "words": WORDS}
    model = made(tiny_encoder, MultiLevel(layers={"words": 1}), tasks)
    rows = chunk(mood=owned(0, 1), words=owned(0, 3, words=[(0, 2), (3, 1)]))
    assert model(rows)["words"].shape == (2, model.arrangement.trunk.vocabulary)
    assert layers_reached(model, "words", rows) == {FIRST}
    assert layers_reached(model, "mood", rows) == {FIRST, SECOND}


def test_a_short_cut_is_a_linear_map_of_layer_and_embeddings(tiny_encoder: Path) -> None:
    model: Any = made(tiny_encoder, MultiLevel(layers={"count": 1}, shortcut=True)).arrangement
    read = model.trunk(CHUNK.tokens, CHUNK.mask, CHUNK.types, inner=True)
    parts = {"count": CHUNK.part("count")}
    assert torch.equal(model.every(CHUNK, parts, read)["count"], read.layers[1][[1, 3]])
    merge = model.merges["of_count"]
    with torch.no_grad():
        merge.weight.normal_()
        merge.bias.normal_()
    state, start = read.layers[1][3, 1], read.layers[0][3, 1]
    expected = merge.weight[:, :32] @ state + merge.weight[:, 32:] @ start + merge.bias
    torch.testing.assert_close(model.every(CHUNK, parts, read)["count"][1, 1], expected, atol=1e-5, rtol=1e-5)


def test_a_short_cut_brings_gradients_past_the_layers(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, MultiLevel(layers={"count": 1}, shortcut=True))
    merge = model.arrangement.get_submodule("merges.of_count")
    assert isinstance(merge, torch.nn.Linear)
    assert layers_reached(model, "count") == {FIRST}
    with torch.no_grad():
        merge.weight[:, :32] = 0
        merge.weight[:, 32:] = torch.eye(32)
    assert layers_reached(model, "count") == set()
    assert model.arrangement.trunk.embeddings.weight.grad is not None
    assert model.arrangement.trunk.embeddings.weight.grad.any()


def test_what_does_not_fit_tasks_or_trunk(tiny_encoder: Path) -> None:
    trunk = made(tiny_encoder, MultiLevel()).arrangement.trunk
    tasks = {**TASKS, "says": Generation("says", source="s")}
    part = MultiLevel(layers={"mood": 0, "count": 3, "tgas": 1, "says": 1, "tags": 2})
    problems = {problem.name: problem.rule for problem in part.problems(tasks, trunk)}
    assert set(problems) == {f"architecture.layers.{name}" for name in ("mood", "count", "tgas", "says")}
    assert "Did you mean `tags`?" in problems["architecture.layers.tgas"]
    assert "must be 1 to 2" in problems["architecture.layers.mood"]
    assert "must be 1 to 2" in problems["architecture.layers.count"]
    assert "a head of their own" in problems["architecture.layers.says"]


def test_dropout_is_a_share() -> None:
    with pytest.raises(RecipeError, match="dropout"):
        MultiLevel(dropout=-1.0)
