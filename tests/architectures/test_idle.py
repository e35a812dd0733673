"""Models with some of their tasks: what the others need alone is not even read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tests.architectures.examples import EXAMPLES
from tests.architectures.toys import TASKS

from motet.architectures.base import Architecture
from motet.architectures.hierarchical.pipeline import Pipeline
from motet.architectures.idle import idle_parameters
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.errors import RunError
from motet.model import MultiTaskModel, build, load

# They reckon a part of the answers of other tasks too, and drop it.
RECKON_MORE = {"ple", "sluice"}


class Watched:
    """A file of weights that notes the names of the tensors that are read."""

    def __init__(self, file: Any, names: set[str]) -> None:
        self.file, self.names = file, names

    def __enter__(self) -> Watched:
        self.file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.file.__exit__(*error)

    def keys(self) -> list[str]:
        return list(self.file.keys())

    def get_tensor(self, name: str) -> torch.Tensor:
        self.names.add(name)
        found: torch.Tensor = self.file.get_tensor(name)
        return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the tensors that are read of `heads.safetensors`."""
    names: set[str] = set()
    monkeypatch.setattr(
        "motet.model.safe_open", lambda path, framework: Watched(safe_open(path, framework=framework), names)
    )
    return names


def saved(encoder: Path, architecture: Architecture, folder: Path) -> MultiTaskModel:
    torch.manual_seed(1)
    model = build(Encoder(str(encoder), max_length=64), architecture, TASKS).eval()
    model.save_pretrained(folder)
    return model


def own_names(model: MultiTaskModel, task: str) -> set[str]:
    own = {id(p) for p in model.arrangement.own_parameters(task)}
    return {name for name, p in model.arrangement.named_parameters() if id(p) in own}


def test_what_other_tasks_have_is_not_read(tiny_encoder: Path, tmp_path: Path, read: set[str]) -> None:
    model = saved(tiny_encoder, HardSharing(task_layers={"tags": 1}), tmp_path)
    load(tmp_path)
    whole = set(read)
    assert whole > own_names(model, "tags")
    read.clear()
    found = load(tmp_path, tasks=["mood", "count"])
    assert read == whole - own_names(model, "tags")
    assert found.predict("a good film")["mood"] == model.predict("a good film", ["mood"])["mood"]
    left = [p for name, p in found.arrangement.named_parameters() if name in own_names(model, "tags")]
    assert left and all(bool(p.isnan().all()) for p in left), "nobody takes fresh weights for trained ones"


def test_a_task_that_rests_on_another_has_its_parameters_read(
    tiny_encoder: Path, tmp_path: Path, read: set[str]
) -> None:
    model = saved(tiny_encoder, Pipeline(feeds={"count": ("mood",), "tags": ("mood", "count")}, size=6), tmp_path)
    load(tmp_path, tasks=["count"])
    assert read & own_names(model, "mood") and not read & own_names(model, "tags")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_does_without_what_is_idle(tiny_encoder: Path, name: str, task: str) -> None:
    torch.manual_seed(1)
    model = build(Encoder(str(tiny_encoder), max_length=64), EXAMPLES[name].make(list(TASKS)), TASKS).eval()
    before = model.predict("a good film", [task])
    idle = idle_parameters(model.arrangement, TASKS, [task])
    others = {id(p) for other in TASKS if other != task for p in model.arrangement.own_parameters(other)}
    assert {id(p) for p in idle.values()} <= others
    if not EXAMPLES[name].mixes and name not in RECKON_MORE:
        assert {id(p) for p in idle.values()} == others
    with torch.no_grad():
        for parameter in idle.values():
            parameter.fill_(torch.nan)
    assert model.predict("a good film", [task]) == before


def test_names_are_looked_at_before_anything_is_built(tiny_encoder: Path, tmp_path: Path) -> None:
    saved(tiny_encoder, HardSharing(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match="Did you mean `mood`"):
        load(tmp_path, tasks=["modo"])
