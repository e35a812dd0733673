"""Prompts that begin with those of a run before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Toys

from motet.architectures.modular.lora import LoRA
from motet.architectures.modular.mpt import MPT
from motet.architectures.modular.prepending import read_prompts, similarities
from motet.architectures.modular.prompts import PromptTuning
from motet.errors import RecipeError, RunError
from motet.model import load
from motet.training.plan import prepare
from motet.training.run import Run


@pytest.fixture
def older(toys: Toys) -> Run:
    part = PromptTuning(length=4, dropout=0.0)
    return toys.start(toys.experiment(tasks=toys.tasks[:2], architecture=part, steps=3, learning_rate=0.05))


def prompts_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: prompt.detach() for name, prompt in model.arrangement.prompts.of.items()}


def test_tasks_begin_with_the_prompts_of_their_sources(toys: Toys, older: Run) -> None:
    learnt = prompts_of(load(older.folder.path))
    part = PromptTuning(length=4, sources=str(older.folder.path), start={"places": "mood"})
    wanted = toys.experiment(tasks=toys.tasks[1:], architecture=part, steps=2)
    begun = prompts_of(prepare(wanted).model)
    assert torch.equal(begun["of_places"], learnt["of_mood"])
    assert torch.equal(begun["of_count"], learnt["of_count"])
    plain = prepare(replace(wanted, architecture=PromptTuning(length=4))).model
    assert torch.equal(begun["of_within"], prompts_of(plain)["of_within"])
    run = toys.start(wanted)
    read_prompts(run.folder.path)
    assert load(run.folder.path).architecture == PromptTuning(length=4)


@pytest.mark.parametrize("part", [PromptTuning(length=3), MPT(length=3, rank=2)], ids=["prompt_tuning", "mpt"])
def test_prompts_are_read_from_a_folder(toys: Toys, part: Any, tmp_path: Path) -> None:
    model: Any = prepare(toys.experiment(architecture=part)).model
    with torch.no_grad():
        for p in model.arrangement.prompts.parameters():
            p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(tmp_path / "some")
    for task, prompt in read_prompts(tmp_path / "some").items():
        texts, mask = torch.zeros(1, 2, prompt.shape[1]), torch.ones(1, 2)
        torch.testing.assert_close(model.arrangement.prompts(task, texts, mask)[0], prompt)
    assert set(read_prompts(tmp_path / "some")) == {task.name for task in toys.tasks}


def test_a_prompt_is_nearest_to_itself(older: Run) -> None:
    prompts = read_prompts(older.folder.path)
    table = similarities(prompts, prompts)
    assert table["mood"]["mood"] == pytest.approx(1.0)
    assert table["mood"]["count"] == table["count"]["mood"] < 1
    means = [prompt.mean(dim=0) for prompt in prompts.values()]
    expected = (means[0] @ means[1] / means[0].norm() / means[1].norm()).item()
    assert table["mood"]["count"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"start": {"place": "mood"}}, r"architecture.start.place\n    names no task. Did you mean `places`"),
        ({"start": {"places": "moods"}}, r"architecture.start.places = moods\n    names no task of .* `mood`"),
        ({"length": 5}, r"architecture.start.count = count\n    has a prompt of 4 by 32, where it must be 5 by 32"),
        ({"sources": "nowhere"}, r"architecture.sources = nowhere\n    nowhere is no finished run"),
    ],
)
def test_sources_that_are_not_there_are_told(toys: Toys, older: Run, fields: Any, told: str) -> None:
    part = PromptTuning(**{"length": 4, "sources": str(older.folder.path), **fields})
    with pytest.raises(RecipeError, match=told):
        prepare(toys.experiment(tasks=toys.tasks[1:], architecture=part))


def test_a_start_needs_sources() -> None:
    with pytest.raises(RecipeError, match="sources\n    is missing"):
        PromptTuning(start={"a": "b"})


def test_a_run_without_prompts_is_told(toys: Toys) -> None:
    run = toys.start(toys.experiment(architecture=LoRA(), steps=1))
    with pytest.raises(RunError, match="has no prompts"):
        read_prompts(run.folder.path)


@pytest.fixture
def commands() -> Callable[..., Any]:
    from motet.cli import modules

    return modules.prompts


def test_the_command_prints_a_table(commands: Any, older: Run, capsys: pytest.CaptureFixture[str]) -> None:
    commands(older.folder.path)
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["count", "mood"]
    assert [row[0] for row in rows] == ["count", "mood"]
    assert rows[0][1] == rows[1][2] == "1.000"
    commands(older.folder.path, older.folder.model, json=True)
    assert capsys.readouterr().out.startswith('{"count": {"count": ')
