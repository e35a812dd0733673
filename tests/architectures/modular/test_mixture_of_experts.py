from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from motet.architectures.experts import Experts
from motet.architectures.modular.mixture_of_experts import LOAD_BALANCE, MixtureOfExperts, load_balance
from motet.data.batches import Chunk, Owned
from motet.encoders.loading import Encoder
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.model import build
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation


@pytest.fixture
def make(tiny_encoder: Path) -> Any:
    """Arrangements with weights far from those they begin with."""

    def made(architecture: MixtureOfExperts, tasks: dict[str, Task] = TASKS) -> Any:
        torch.manual_seed(0)
        model = build(Encoder(str(tiny_encoder)), architecture, tasks).eval()
        with torch.no_grad():
            for name, p in model.arrangement.named_parameters():
                if not name.startswith("trunk"):
                    p.add_(0.3 * torch.randn_like(p))
        return model.arrangement

    return made


def read_by_heads(model: Any, chunk: Chunk = CHUNK) -> tuple[Tensor, dict[str, Tensor]]:
    """The states that all tasks share, and what the heads read."""
    read = model.trunk(chunk.tokens, chunk.mask, chunk.types)
    return read.last, model.every(chunk, {task: chunk.part(task) for task in chunk.owned}, read)


def routed(model: Any, task: str, state: Tensor, k: int) -> Tensor:
    """One token by the formula."""
    gate = torch.cat([model.router.of_state.weight, model.router.of_task.weight], dim=1)
    scores = gate @ torch.cat([state, model.embeddings[f"of_{task}"]]) + model.router.of_state.bias
    chosen = scores.detach().argsort(descending=True)[:k].tolist()
    weights = torch.exp(scores[chosen]) / torch.exp(scores[chosen]).sum()
    made: Tensor = model.experts(state)[chosen]
    return state + weights @ (made - state)


@pytest.mark.parametrize(("experts", "k"), [(4, 2), (4, 4), (5, 3)])
def test_token_by_token(make: Any, experts: int, k: int) -> None:
    model = make(MixtureOfExperts(experts=experts, k=k, size=4, task_size=3))
    states, read = read_by_heads(model)
    for task in TASKS:
        for place, row in enumerate(CHUNK.owned[task].rows.tolist()):
            for token in range(int(CHUNK.mask[row].sum())):
                expected = routed(model, task, states[row, token], k)
                torch.testing.assert_close(read[task][place, token], expected, atol=1e-4, rtol=1e-4)


def test_padding_is_routed_nowhere(make: Any) -> None:
    model = make(MixtureOfExperts(size=4))
    states, read = read_by_heads(model)
    padded = CHUNK.mask[:3] == 0
    assert torch.equal(read["mood"][padded], states[:3][padded])
    assert not torch.isclose(read["mood"][~padded], states[:3][~padded]).all(-1).any()


def test_without_embeddings_the_gate_knows_no_tasks(make: Any) -> None:
    model = make(MixtureOfExperts(experts=4, size=4, task_size=0))
    _, read = read_by_heads(model)
    torch.testing.assert_close(read["mood"][1], read["count"][0])
    told = make(MixtureOfExperts(experts=4, size=4, task_size=3))
    _, read = read_by_heads(told)
    assert not torch.allclose(read["mood"][1, 0], read["count"][0, 0])
    assert [p.shape for p in told.own_parameters("mood")][-1] == (3,)


def test_experts_run_once_for_fifty_tasks_that_read_the_same(make: Any) -> None:
    tasks: dict[str, Task] = {f"t{n}": Classification(f"t{n}", source="s", classes=("a", "b")) for n in range(50)}
    model = make(MixtureOfExperts(experts=4, size=4), tasks)
    every = {name: Owned(torch.arange(4), None, np.ones(4, dtype=int), np.arange(4)) for name in tasks}
    chunk = Chunk(CHUNK.tokens, CHUNK.mask, None, every, int(CHUNK.mask.sum()))
    seen: dict[int, int] = {}
    added = Experts.added

    def counted(experts: Experts, expert: int, states: Tensor) -> Tensor:
        assert expert not in seen
        seen[expert] = len(states)
        return added(experts, expert, states)

    with patch.object(Experts, "added", counted):
        assert len(model(chunk)) == 50
    assert set(seen) <= set(range(4))
    assert max(seen.values()) <= int(CHUNK.mask.sum())


def test_load_balance_is_least_where_experts_are_used_alike() -> None:
    even = torch.tensor([[0, 1], [2, 3]])
    assert load_balance(torch.zeros(2, 4), even).item() == pytest.approx(1)
    scores = torch.tensor([[30.0, 0, 0, 0], [30.0, 0, 0, 0]])
    assert load_balance(scores, torch.tensor([[0], [0]])).item() == pytest.approx(4)
    scores = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    used, probability = torch.tensor([0.25, 0.75]), scores.softmax(-1).mean(0)
    found = load_balance(scores.repeat(2, 1), torch.tensor([[1], [0], [1], [1]]))
    assert found.item() == pytest.approx(float(2 * (used * probability).sum()))


def test_the_balance_is_added_while_training_alone(make: Any) -> None:
    model = make(MixtureOfExperts(size=4, balance=0.5, noise=False))
    model(CHUNK)
    assert not model.extras
    model.train()
    model(CHUNK)
    half = model.extras[LOAD_BALANCE]
    half.backward()
    assert model.router.of_state.weight.grad.any()
    assert model.experts.up.grad is None
    twice = make(MixtureOfExperts(size=4, balance=1.0, noise=False)).train()
    twice(CHUNK)
    assert twice.extras[LOAD_BALANCE].item() == pytest.approx(2 * half.item())
    none = make(MixtureOfExperts(size=4, balance=0.0)).train()
    none(CHUNK)
    assert not none.extras


def test_noise_changes_choices_while_training_alone(make: Any) -> None:
    model = make(MixtureOfExperts(size=4, dropout=0.0))
    torch.testing.assert_close(model(CHUNK), model(CHUNK), rtol=0, atol=0)
    model.train()
    assert not torch.equal(model(CHUNK)["mood"], model(CHUNK)["mood"])
    torch.manual_seed(1)
    once = model(CHUNK)["mood"]
    torch.manual_seed(1)
    assert torch.equal(model(CHUNK)["mood"], once)
    quiet = make(MixtureOfExperts(size=4, dropout=0.0, noise=False)).train()
    assert torch.equal(quiet(CHUNK)["mood"], quiet(CHUNK)["mood"])


def test_noise_has_a_learnt_scale(make: Any) -> None:
    router = make(MixtureOfExperts(experts=4, size=4, task_size=0)).router.train()
    states = torch.randn(1, 32).expand(4000, 32)
    plain, scale = router.of_state(states[:1]), torch.log1p(torch.exp(router.noise(states[:1])))
    scores = router.scores(states, None, torch.zeros(4000, dtype=torch.long))
    torch.testing.assert_close(scores.mean(0), plain[0], atol=0.15, rtol=0.05)
    torch.testing.assert_close(scores.std(0), scale[0], atol=0.02, rtol=0.05)


def test_it_trains_in_half_precision(make: Any) -> None:
    model = make(MixtureOfExperts(size=4)).train()
    with torch.autocast("cpu", torch.bfloat16):
        found = model(CHUNK)
    sum(logits.float().square().sum() for logits in found.values()).backward()
    assert model.experts.up.grad.any()


def test_a_chunk_that_is_only_written_adds_nothing() -> None:
    config = GPT2Config(vocab_size=20, n_positions=16, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    tasks: dict[str, Task] = {"says": Generation("says", source="s"), "mood": TASKS["mood"]}
    model = MixtureOfExperts(size=4).build(Trunk(GPT2LMHeadModel(config)), tasks).train()
    tokens = torch.tensor([[3, 4, 5]])
    says = Owned(torch.tensor([0]), None, np.asarray([2]), np.arange(1), target=torch.tensor([6, 0]))
    logits = model(Chunk(tokens, torch.ones_like(tokens), None, {"says": says}, 3))
    assert logits["says"].shape == (2, 20)
    assert model.extras[LOAD_BALANCE].item() == 0
    assert not list(model.heads.of("says"))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"experts": 0}, "experts = 0\n    leaves the gate nothing to choose from"),
        ({"experts": 2, "k": 3}, "1 to the number of experts, 2"),
        ({"k": 0}, "1 to the number of experts, 8"),
        ({"k": 1}, "learns nothing"),
        ({"size": 0}, "size"),
        ({"task_size": -1}, "task_size"),
        ({"balance": -0.1}, "balance"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        MixtureOfExperts(**options)


def test_one_expert_needs_no_choice() -> None:
    assert MixtureOfExperts(experts=1, k=1).k == 1
