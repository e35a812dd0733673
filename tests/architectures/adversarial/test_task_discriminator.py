from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, chunk, owned
from torch import nn

from motet.architectures.adversarial.reversal import ramp
from motet.architectures.adversarial.task_discriminator import Discriminator, TaskDiscriminator
from motet.architectures.base import Architecture
from motet.data.batches import Owned
from motet.encoders.loading import Encoder
from motet.encoders.trunk import States
from motet.errors import RecipeError
from motet.model import MultiTaskModel, build
from motet.tasks.language import MaskedLanguage


def made(encoder: Path, part: Architecture, tasks: Any = TASKS) -> MultiTaskModel:
    torch.manual_seed(3)
    return build(Encoder(str(encoder)), part, tasks).train()


def discriminator(model: MultiTaskModel) -> Any:
    return model.arrangement.discriminator


def penalty(model: MultiTaskModel, step: int = 9, steps: int = 10, of: Any = CHUNK) -> torch.Tensor:
    model.zero_grad()
    model.arrangement.begin(step, steps)
    model(of)
    return model.arrangement.extras["adversarial"]


def gradients(model: MultiTaskModel, **moment: int) -> dict[str, torch.Tensor]:
    penalty(model, **moment).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.arrangement.named_parameters() if p.grad is not None}


def test_a_row_counts_once_for_every_domain_that_owns_it() -> None:
    part = TaskDiscriminator(lambda_adv=0.5)
    states = States(torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)))
    apart = Discriminator(part, 6, "encoder", {name: name for name in TASKS})
    weights = apart.of[0].state_dict()
    losses = []
    for row, real in enumerate(CHUNK.mask.sum(dim=1)):
        logits = weights["weight"] @ states.last[row, :real].mean(dim=0) + weights["bias"]
        said = torch.log(torch.exp(logits) / torch.exp(logits).sum())
        losses += [-said[at] for at, own in enumerate(CHUNK.owned.values()) if row in own.rows]
    assert len(losses) == 7
    torch.testing.assert_close(apart(states, CHUNK), 0.5 * torch.stack(losses).sum() / 4)


def test_tasks_of_one_domain_own_a_row_together(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator(groups={"mood": "texts", "tags": "texts"}))
    assert discriminator(model).targets(CHUNK).tolist() == [[1, 0], [1, 1], [1, 0], [0, 1]]
    assert discriminator(model).of[0].out_features == 2


def test_a_domain_may_have_the_name_of_a_task(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator(groups={"count": "mood"}))
    assert discriminator(model).targets(CHUNK).tolist() == [[1, 1], [1, 0], [1, 1], [1, 0]]


def test_several_discriminators_say_yes_or_no() -> None:
    part = TaskDiscriminator(lambda_adv=2.0, multi_discriminator=True)
    states = States(torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)))
    several = Discriminator(part, 6, "decoder", {name: name for name in TASKS})
    loss = torch.zeros(())
    for row, real in enumerate(CHUNK.mask.sum(dim=1)):
        for one, own in zip(several.of, CHUNK.owned.values(), strict=True):
            yes = torch.sigmoid(one(states.last[row, real - 1]))[0]
            loss = loss - torch.log(yes if row in own.rows else 1 - yes)
    torch.testing.assert_close(several(states, CHUNK), 2 * loss / 4)


def test_a_hidden_layer(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator(hidden=5))
    assert [tuple(p.shape) for p in discriminator(model).parameters()] == [(5, 32), (5,), (3, 5), (3,)]


def test_the_trunk_is_pushed_where_the_discriminator_loses(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator(lambda_adv=0.5, ramp=None))
    found = gradients(model)
    lone = discriminator(model)
    read = model.arrangement.trunk(CHUNK.tokens, CHUNK.mask)
    pooled = (read.last * CHUNK.mask[:, :, None]).sum(dim=1) / CHUNK.mask.sum(dim=1, keepdim=True)
    loss = -(lone.targets(CHUNK) * lone.of[0](pooled).log_softmax(dim=1)).sum(dim=1).mean()
    named = dict(model.arrangement.named_parameters())
    plain = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    for name, gradient in zip(named, plain, strict=True):
        if gradient is not None:
            sign = -0.5 if name.startswith("trunk.") else 0.5
            torch.testing.assert_close(found[name], sign * gradient, rtol=1e-4, atol=1e-7)
    assert found["trunk.model.embeddings.word_embeddings.weight"].any()
    assert not any(name.startswith("heads.") for name in found)


def test_it_pushes_harder_as_training_goes_on(tiny_encoder: Path) -> None:
    full = gradients(made(tiny_encoder, TaskDiscriminator(ramp=None)))
    for step in (1, 5, 9):
        found = gradients(made(tiny_encoder, TaskDiscriminator(ramp=4.0)), step=step)
        for name, gradient in found.items():
            factor = 2 / (1 + math.exp(-4 * step / 10)) - 1 if name.startswith("trunk.") else 1.0
            torch.testing.assert_close(gradient, factor * full[name], rtol=1e-4, atol=1e-8)
    assert not [name for name in gradients(made(tiny_encoder, TaskDiscriminator()), step=0) if "trunk" in name]
    assert ramp(0.9, 10.0) == pytest.approx(1, abs=1e-3)


def test_the_discriminator_learns_in_the_steps_in_which_the_trunk_does_not_hear_of_it(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator(discriminator_steps=3, ramp=None))
    for step in range(6):
        found = gradients(model, step=step)
        assert "discriminator.of.0.weight" in found
        assert any(name.startswith("trunk.") for name in found) == (step in (2, 5))


def test_rows_without_labels_take_part(tiny_encoder: Path) -> None:
    """Text of a domain that is there for its words alone is told apart as its labelled text is."""
    tasks = {
        "mood": TASKS["mood"],
        "words": replace(MaskedLanguage("words", source="s")),
        "count": TASKS["count"],
    }
    groups = {"mood": "books", "words": "books", "count": "films"}
    model = made(tiny_encoder, TaskDiscriminator(groups=groups, ramp=None), tasks)
    hidden = Owned(torch.tensor([2, 3]), torch.tensor([[2, 3], [1, 1]]), np.array([1, 1]), np.array([0, 1]))
    with_words = chunk(mood=owned(0), count=owned(1), words=hidden)
    assert discriminator(model).targets(with_words).tolist() == [[1, 0], [0, 1], [1, 0], [1, 0]]
    rows = []
    model.arrangement.trunk.register_forward_hook(lambda trunk, given, read: rows.append(read.last))
    loss = penalty(model, of=with_words)
    (reached,) = torch.autograd.grad(loss, rows)
    assert reached.flatten(1).any(dim=1).tolist() == [True] * 4


def test_weight_zero_leaves_it_out(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator(lambda_adv=0.0))
    assert discriminator(model) is None
    model.arrangement.begin(1, 2)
    model(CHUNK)
    assert not model.arrangement.extras


def test_a_discriminator_serves_nobody_alone(tiny_encoder: Path) -> None:
    model = made(tiny_encoder, TaskDiscriminator())
    assert isinstance(discriminator(model), nn.Module)
    mine = {id(p) for p in discriminator(model).parameters()}
    assert not mine & {id(p) for task in TASKS for p in model.arrangement.own_parameters(task)}
    assert not mine & {id(p) for p in model.arrangement.pretrained_parameters()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"lambda_adv": -1.0}, "lambda_adv = -1.0"),
        ({"lambda_adv": math.nan}, "lambda_adv = nan"),
        ({"ramp": 0.0}, "ramp = 0.0"),
        ({"discriminator_steps": 0}, "discriminator_steps = 0"),
        ({"hidden": -1}, "hidden = -1"),
    ],
)
def test_settings_that_mean_nothing(settings: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TaskDiscriminator(**settings)


def test_what_does_not_fit_the_tasks(tiny_encoder: Path) -> None:
    trunk = made(tiny_encoder, TaskDiscriminator()).arrangement.trunk
    (problem,) = TaskDiscriminator(groups={"moody": "x"}).problems(TASKS, trunk)
    assert problem.name == "architecture.groups.moody"
    assert "Did you mean `mood`?" in problem.rule
    same = dict.fromkeys(TASKS, "x")
    (problem,) = TaskDiscriminator(groups=same).problems(TASKS, trunk)
    assert "two domains" in problem.rule
    assert not list(TaskDiscriminator(groups=same, lambda_adv=0.0).problems(TASKS, trunk))
