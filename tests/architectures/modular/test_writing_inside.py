"""Tasks that write do so with the modules that are theirs, in encoder-decoders and decoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.architectures.modular.trunks import TASKS, WRITING, bart, gpt2, perturb, t5, writing_chunk

from motet.architectures.base import Architecture
from motet.architectures.modular.adapters import Adapters
from motet.architectures.modular.ca_mtl import CAMTL
from motet.architectures.modular.hyperformer import Hyperformer
from motet.architectures.modular.ia3 import IA3
from motet.architectures.modular.lora import LoRA
from motet.architectures.modular.mtl_lora import MTLLoRA
from motet.architectures.modular.pals import PALs
from motet.architectures.modular.prefix import PrefixTuning
from motet.architectures.modular.prompts import PromptTuning
from motet.architectures.routing import Routed
from motet.data.batches import Chunk
from motet.encoders.trunk import Trunk
from motet.tasks.generation import Generation

SITES = ("attention", "outer")
EVERY: dict[str, Architecture] = {
    "adapters": Adapters(reduction=2, norms=True),
    "ca_mtl": CAMTL(task_size=3, length=6, blocks=3),
    "hyperformer": Hyperformer(task_size=6, place_size=4, hidden=8, size=6, reduction=2),
    "lora": LoRA(rank=2, alpha=4, sites=SITES, shared=True),
    "mtl_lora": MTLLoRA(rank=2, sites=SITES),
    "pals": PALs(rank=8, heads=2),
    "pals without attention": PALs(rank=8, attention=False),
    "prefix_tuning": PrefixTuning(length=3, hidden=8),
    "prompt_tuning": PromptTuning(length=3),
}
CASES = [(name, make) for name in EVERY for make in (t5, gpt2)] + [("adapters", bart), ("prefix_tuning", bart)]
CASES += [("prompt_tuning", bart), ("pals", bart), ("ca_mtl", bart)]


def made(name: str, make: Callable[[], Trunk]) -> Routed:
    trunk = make()
    assert not list(EVERY[name].problems(WRITING, trunk))
    arrangement: Any = EVERY[name].build(trunk, WRITING)
    model: Any = trunk.model
    with torch.no_grad():  # what a random trunk says hardly depends on what it reads, and is often nothing
        trunk.embeddings.weight.mul_(8.0)
        trunk.embeddings.weight[:3] = 0
        model.get_output_embeddings().weight[:3] = 0
    return perturb(arrangement)


def answered(task: str, written: list[np.ndarray]) -> Chunk:
    """The chunk of a task with what it wrote as true answers."""
    chunk = writing_chunk(task)
    own = chunk.owned[task]
    lengths = np.array([len(words) for words in written])
    return replace(chunk, owned={task: replace(own, lengths=lengths, target=torch.from_numpy(np.concatenate(written)))})


@pytest.mark.parametrize(("name", "make"), CASES)
@torch.no_grad()
def test_what_is_written_is_what_is_likeliest_behind_what_was_written(name: str, make: Any) -> None:
    arrangement = made(name, make)
    written = arrangement.write(writing_chunk("say"), WRITING["say"])
    assert all(map(len, written))
    chunk = answered("say", written)
    assert arrangement(chunk)["say"].argmax(-1).tolist() == np.concatenate(written).tolist()


@pytest.mark.parametrize(("name", "make"), CASES)
@torch.no_grad()
def test_beams_are_those_of_the_task(name: str, make: Any) -> None:
    arrangement = made(name, make)
    beam = WRITING["beam"]
    found = arrangement.write(writing_chunk("beam"), beam)
    chunk = writing_chunk("beam")
    for row, words in enumerate(found):
        length = int(chunk.mask[row].sum())
        own = replace(chunk.owned["beam"], rows=torch.tensor([0]), lengths=np.ones(1), examples=np.zeros(1))
        alone = Chunk(chunk.tokens[[row], :length], chunk.mask[[row], :length], None, {"beam": own}, length)
        (expected,) = arrangement.write(alone, beam)
        assert words.tolist() == expected.tolist()
    # the module of the task is at work in every beam: another task has others
    arrangement.load_state_dict(
        {
            key.replace("of_beam", "of_say"): value
            for key, value in arrangement.state_dict().items()
            if "of_beam" in key
        },
        strict=False,
    )
    search = Generation("say", source="s", longest=4, beams=3)
    assert [words.tolist() for words in arrangement.write(writing_chunk("say"), search)] == [
        words.tolist() for words in found
    ]


@pytest.mark.parametrize(("name", "make"), CASES)
def test_a_task_that_writes_learns_with_its_modules_alone(name: str, make: Any) -> None:
    arrangement = made(name, make)
    arrangement.train()
    arrangement(writing_chunk("say", answered=True))["say"].square().sum().backward()
    reached = {key for key, p in arrangement.named_parameters() if p.grad is not None and p.grad.any()}
    assert any("of_say" in key for key in reached)
    assert not [key for key in reached if "of_beam" in key or "of_mood" in key]


@pytest.mark.parametrize(("name", "make"), CASES)
@torch.no_grad()
def test_in_company_tasks_write_and_choose_as_alone(name: str, make: Any) -> None:
    arrangement = made(name, make)
    say, mood = writing_chunk("say", answered=True), writing_chunk("mood")
    both = replace(say, owned={**mood.owned, **say.owned})
    found = arrangement(both)
    torch.testing.assert_close(found["say"], arrangement(say)["say"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["mood"], arrangement(mood)["mood"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_decoder_reads_padded_rows_as_bare_ones_while_it_writes() -> None:
    for name in EVERY:
        arrangement = made(name, gpt2)
        whole = arrangement.write(writing_chunk("say"), WRITING["say"])
        assert [w.tolist() for w in arrangement.write(writing_chunk("say", 2), WRITING["say"])] == [
            w.tolist() for w in whole[:2]
        ]


def test_scales_need_keys_of_their_own() -> None:
    assert not list(IA3().problems(TASKS, t5()))
    assert "They have: attn.c_attn" in str(next(iter(IA3().problems(TASKS, gpt2()))))
