from __future__ import annotations

from typing import Any

import pytest
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

from motet.architectures.cost import multiply_adds, parameters
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.trunk import Trunk
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage, MaskedLanguage
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging

WIDTH, INNER, LAYERS, LENGTH = 16, 32, 2, 12
READ = LENGTH * LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
SCORES = 2 * LENGTH * LENGTH * WIDTH * LAYERS
TASKS: dict[str, Task] = {
    "mood": Classification("mood", source="s", classes=("a", "b", "c")),
    "tags": Tagging("tags", source="s", classes=("O", "B"), outside="O"),
    "where": Spans("where", source="s"),
    "words": MaskedLanguage("words", source="s"),
}


@pytest.fixture(params=["eager", "sdpa"])
def trunk(request: pytest.FixtureRequest) -> Trunk:
    sizes: dict[str, Any] = {"num_attention_heads": 2, "attn_implementation": request.param}
    config = BertConfig(vocab_size=40, hidden_size=WIDTH, num_hidden_layers=LAYERS, intermediate_size=INNER, **sizes)
    return Trunk(BertModel(config, add_pooling_layer=False))


def test_products_are_counted(trunk: Trunk) -> None:
    arrangement = HardSharing().build(trunk, TASKS)
    scores = SCORES if trunk.model.config._attn_implementation == "eager" else 0
    assert multiply_adds(arrangement, TASKS["mood"], LENGTH) == READ + scores + WIDTH * 3
    assert multiply_adds(arrangement, TASKS["tags"], LENGTH) == READ + scores + (LENGTH - 2) * WIDTH * 2


@pytest.mark.parametrize("name", TASKS)
def test_every_answer_has_a_cost(trunk: Trunk, name: str) -> None:
    arrangement = HardSharing().build(trunk, TASKS).train()
    assert multiply_adds(arrangement, TASKS[name], LENGTH) > READ
    assert arrangement.training


def test_so_has_what_is_written() -> None:
    config = GPT2Config(vocab_size=40, n_positions=32, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    tasks: dict[str, Task] = {"next": CausalLanguage("next", source="s"), "says": Generation("says", source="s")}
    arrangement = HardSharing().build(Trunk(GPT2LMHeadModel(config)), tasks)
    # an answer of ten sub-words is read behind its text, and each of them has a score for all words
    assert multiply_adds(arrangement, tasks["next"], 12) == 12 * 12 * 8 * 8 + 10 * 8 * 40
    assert multiply_adds(arrangement, tasks["says"], 12) == 22 * 12 * 8 * 8 + 10 * 8 * 40


def test_parameters_are_shared_or_of_one_task(trunk: Trunk) -> None:
    tasks = {"mood": TASKS["mood"], "tags": TASKS["tags"]}
    arrangement = HardSharing(task_layers={"tags": 1}).build(trunk, tasks)
    trunk.requires_grad_(False)
    counts = parameters(arrangement, tasks)
    assert counts["shared"] == sum(p.numel() for p in trunk.parameters())
    assert counts["own"]["mood"] == 3 * WIDTH + 3
    assert counts["own"]["tags"] > 2 * WIDTH + 2
    assert counts["trained"] == counts["own"]["mood"] + counts["own"]["tags"]
