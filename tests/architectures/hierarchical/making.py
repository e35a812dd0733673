"""Models on the toy tasks, and what must hold of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tests.architectures.toys import CHUNK, TASKS, some
from torch import Tensor

from motet.architectures.base import Architecture
from motet.data.batches import Chunk
from motet.encoders.loading import Encoder
from motet.model import MultiTaskModel, build
from motet.tasks.base import Task

__all__ = ["answered", "assert_alone_as_in_company", "fresh", "moved", "reached"]


def fresh(encoder: Path, architecture: Architecture, tasks: Mapping[str, Task] = TASKS) -> MultiTaskModel:
    torch.manual_seed(1)
    return build(Encoder(str(encoder)), architecture, tasks).eval()


def moved(encoder: Path, architecture: Architecture, tasks: Mapping[str, Task] = TASKS) -> MultiTaskModel:
    """A model far from where it begins, so that nothing is zero by chance."""
    model = fresh(encoder, architecture, tasks)
    torch.manual_seed(2)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def reached(model: MultiTaskModel, task: str) -> set[str]:
    """The parameters that the answer of a task has a gradient for."""
    model.zero_grad()
    model(CHUNK)[task].square().sum().backward()
    return {name for name, p in model.arrangement.named_parameters() if p.grad is not None and p.grad.any()}


def answered(whole: Chunk, **targets: Sequence[float]) -> Chunk:
    """A chunk with true answers of some tasks."""
    told = {name: replace(whole.owned[name], target=torch.tensor(target)) for name, target in targets.items()}
    return replace(whole, owned={**whole.owned, **told})


def assert_alone_as_in_company(model: MultiTaskModel) -> None:
    """No answer depends on other tasks, other rows or padding."""
    whole = model(CHUNK)
    for task, expected in whole.items():
        assert_close(model(CHUNK.part(task))[task], expected)
        own = CHUNK.owned[task]
        for row in own.rows.tolist():
            rows = own.rows if own.words is None else own.words[0]
            alone = some(CHUNK, [row], int(CHUNK.mask[row].sum()))
            assert_close(model(alone)[task], expected[rows == row])


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
