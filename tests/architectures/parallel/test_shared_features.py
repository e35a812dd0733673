from __future__ import annotations

from typing import Any

import torch
from tests.architectures.toys import CHUNK, TASKS
from tests.encoders.tiny import make
from torch import Tensor

from motet.architectures.heads import pool
from motet.architectures.parallel.shared_features import SharedFeatures
from motet.encoders.layers import borrowed
from motet.tasks.base import Task
from motet.tasks.language import MaskedLanguage


def built(tasks: Any = None, shared: int = 1) -> Any:
    arrangement = SharedFeatures(shared_layers=shared).build(make("bert"), TASKS if tasks is None else tasks).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return arrangement


def read(arrangement: Any, task: str) -> tuple[Tensor, Tensor]:
    """What the column of a task and what the trunk make of all rows."""
    trunk = arrangement.trunk
    shared = trunk(CHUNK.tokens, CHUNK.mask).last
    with borrowed(trunk, list(arrangement.columns.stack(task)), arrangement.columns.first):
        return trunk(CHUNK.tokens, CHUNK.mask).last, shared


def test_a_head_reads_its_own_states_before_the_shared_ones() -> None:
    arrangement = built()
    found = arrangement(CHUNK)
    for task in TASKS:
        private, shared = read(arrangement, task)
        assert not torch.allclose(private, shared, atol=1e-2)
        both = torch.cat([private, shared], dim=-1)
        linear, own = arrangement.heads["of_" + task].linear, CHUNK.owned[task]
        rows = both[own.words[0], own.words[1]] if own.words is not None else pool(both, CHUNK.mask, "mean")[own.rows]
        torch.testing.assert_close(found[task], linear(rows), atol=1e-5, rtol=1e-5)


def test_shared_states_learn_from_all_tasks_and_private_ones_from_one() -> None:
    arrangement = built()
    for task in TASKS:
        arrangement.zero_grad()
        arrangement(CHUNK)[task].square().sum().backward()
        moved = {name for name in TASKS if any(p.grad is not None for p in arrangement.columns.of(name))}
        assert moved == {task}
        assert all(any(p.grad is not None for p in layer.parameters()) for layer in arrangement.trunk.layers)


def test_a_language_head_reads_both_too() -> None:
    words: dict[str, Task] = {"words": MaskedLanguage("words", source="s")}
    arrangement = built(words)
    own = CHUNK.owned["tags"]
    logits = arrangement(type(CHUNK)(CHUNK.tokens, CHUNK.mask, None, {"words": own}, CHUNK.real))["words"]
    assert logits.shape == (4, 32)
    assert arrangement.heads["of_words"].dense.in_features == 32
