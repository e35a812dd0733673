from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.architectures.modular.trunks import TASKS, bart, bert, gpt2, mpnet, perturb, t5
from tests.architectures.toys import chunk, owned

from motet.architectures.modular.attention import can_remember
from motet.architectures.modular.prefix import PrefixTuning
from motet.architectures.modular.prompts import PromptTuning
from motet.errors import RecipeError

TOKENS = torch.tensor([[7, 8, 9, 0]])
MASK = torch.tensor([[1, 1, 1, 0]])
CHUNK = chunk(mood=owned(0, 1, 2), topic=owned(1, 3))


@pytest.mark.parametrize("hidden", [0, 7])
def test_prefixes_are_seen_by_every_place(hidden: int) -> None:
    """Attention of the first layer, head by head."""
    trunk = bert()
    arrangement: Any = perturb(PrefixTuning(length=2, hidden=hidden).build(trunk, TASKS))
    layer: Any = trunk.layers[0]
    inputs: Any = trunk.model
    h = inputs.embeddings(input_ids=TOKENS[:, :3])
    keys, values = arrangement.prefixes["of_mood"](0)
    assert keys.shape == values.shape == (2, 2, 8)
    own = layer.attention.self
    found = torch.zeros(3, 16)
    for head in range(2):
        part = slice(8 * head, 8 * head + 8)
        q = own.query(h)[0, :, part]
        k = torch.cat([keys[head], own.key(h)[0, :, part]])
        v = torch.cat([values[head], own.value(h)[0, :, part]])
        found[:, part] = torch.softmax(q @ k.T / math.sqrt(8), dim=-1) @ v
    attended = layer.attention.output(found[None], h)
    seen: list[Any] = []
    handle = layer.attention.register_forward_hook(lambda module, args, output: seen.append(output))
    with arrangement.route.alone("mood"):
        trunk(TOKENS, MASK)
    handle.remove()
    output = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    torch.testing.assert_close(output[:, :3], attended, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [bert, t5, bart, gpt2])
def test_without_a_task_the_trunk_reads_as_ever(make: Any) -> None:
    plain, trunk = make(), make()
    perturb(PrefixTuning(length=2, hidden=4).build(trunk, TASKS))
    torch.testing.assert_close(trunk(TOKENS, MASK).last, plain(TOKENS, MASK).last, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("make", [t5, bart, gpt2])
@pytest.mark.parametrize("part", [PrefixTuning(length=2, hidden=4), PromptTuning(length=2)])
def test_rows_are_read_as_alone_in_every_family(make: Any, part: Any) -> None:
    arrangement = perturb(part.build(make(), TASKS))
    whole = arrangement(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(arrangement(CHUNK.part(task))[task], whole[task], atol=1e-5, rtol=1e-5)
    tokens = CHUNK.tokens.clone()
    tokens[CHUNK.mask == 0] = 20
    found = arrangement(type(CHUNK)(tokens, CHUNK.mask, None, CHUNK.owned, CHUNK.real))
    for task in TASKS:
        torch.testing.assert_close(found[task], whole[task], atol=1e-5, rtol=1e-5)


def test_encoders_that_attend_in_a_way_of_their_own_are_refused() -> None:
    assert [can_remember(make()) for make in (bert, t5, bart, gpt2, mpnet)] == [True, True, True, True, False]
    (problem,) = PrefixTuning().problems(TASKS, mpnet())
    assert "in a way of its own" in str(problem)


def test_asking_leaves_a_trunk_as_it_was() -> None:
    trunk = bert()
    before = trunk.model.config._attn_implementation
    assert can_remember(trunk)
    assert trunk.model.config._attn_implementation == before
    assert not [m for m in trunk.modules() if "_motet_memory" in m.__dict__]


def test_prompts_are_read_in_front_and_their_states_cut() -> None:
    trunk = bert()
    arrangement: Any = perturb(PromptTuning(length=2).build(trunk, TASKS))
    model: Any = trunk.model
    vectors = torch.cat([arrangement.prompts.of["of_mood"][None], model.embeddings.word_embeddings(TOKENS)], dim=1)
    mask = torch.tensor([[1, 1, 1, 1, 1, 0]])
    expected = model(inputs_embeds=vectors, attention_mask=mask).last_hidden_state[:, 2:]
    with arrangement.route.alone("mood"):
        found = trunk(TOKENS, MASK).last
    assert found.shape == (1, 4, 16)
    torch.testing.assert_close(found[:, :3], expected[:, :3])
    with arrangement.route.alone("mood"):
        typed = trunk(TOKENS, MASK, torch.zeros_like(TOKENS)).last
    torch.testing.assert_close(typed, found)


def test_prompts_begin_as_words() -> None:
    trunk = bert()
    arrangement: Any = PromptTuning(length=5).build(trunk, TASKS)
    words = trunk.embeddings.weight
    for prompt in arrangement.prompts.of.values():
        assert all(bool((words == vector).all(dim=1).any()) for vector in prompt)


def test_prompts_need_room() -> None:
    (problem,) = PromptTuning(length=32).problems(TASKS, gpt2())
    assert "32 positions" in str(problem)
    arrangement: Any = PromptTuning(length=30).build(gpt2(), TASKS)
    with pytest.raises(RecipeError, match="must leave 30 of the 32 positions"):
        arrangement(CHUNK)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [(PrefixTuning, {"length": -1}), (PrefixTuning, {"hidden": -1}), (PromptTuning, {"length": -1})],
)
def test_bad_settings_are_told(recipe: Any, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(RecipeError, match=f"{name} = -1"):
        recipe(**options)
