"""What holds for every architecture."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tests.architectures.examples import EXAMPLES
from tests.architectures.toys import CHUNK, TASKS, owned, some

from motet import registry
from motet.architectures.base import Architecture
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.data.batches import Chunk
from motet.encoders.loading import Encoder
from motet.model import MultiTaskModel, build

NAMES = sorted(EXAMPLES)


def made(encoder: Path, architecture: Architecture) -> MultiTaskModel:
    torch.manual_seed(1)
    return build(Encoder(str(encoder), max_length=64), architecture, TASKS).eval()


@pytest.fixture
def model(tiny_encoder: Path, name: str) -> MultiTaskModel:
    """With weights that are far from where an architecture begins, so that nothing is zero by chance."""
    found = made(tiny_encoder, EXAMPLES[name].make(list(TASKS)))
    torch.manual_seed(2)
    with torch.no_grad():
        for p in found.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return found


def test_there_is_an_example_of_each() -> None:
    assert set(registry.names("architecture")) == set(EXAMPLES)


@pytest.mark.parametrize("name", NAMES)
def test_at_its_neutral_setting_it_is_hard_sharing(tiny_encoder: Path, name: str) -> None:
    example = EXAMPLES[name]
    plain = made(tiny_encoder, HardSharing())
    model = made(tiny_encoder, (example.neutral or example.make)(list(TASKS)))
    example.neutralise(plain, model)
    expected, found = plain(CHUNK), model(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_task_answers_its_units(model: MultiTaskModel) -> None:
    assert {task: tuple(logits.shape) for task, logits in model(CHUNK).items()} == {
        "mood": (3, 3),
        "count": (2, 1),
        "tags": (4, 3),
    }


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_depends_on_no_other_row(model: MultiTaskModel) -> None:
    whole = model(CHUNK)
    for row in range(4):
        alone = some(CHUNK, [row], int(CHUNK.mask[row].sum()))
        for task, logits in model(alone).items():
            units = _units(task, row)
            torch.testing.assert_close(logits, whole[task][units], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_answers_by_itself_as_in_company(model: MultiTaskModel) -> None:
    whole = model(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(model(CHUNK.part(task))[task], whole[task], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_own_parameters_of_a_task_serve_it_alone(model: MultiTaskModel, name: str) -> None:
    own = {task: {id(p) for p in model.arrangement.own_parameters(task)} for task in TASKS}
    for task in TASKS:
        assert own[task]
        assert not own[task] & set().union(*(own[other] for other in TASKS if other != task))
        assert {id(p) for p in model.arrangement.heads.of(task)} <= own[task]
        reached = _reached(model, task)
        if not EXAMPLES[name].mixes:
            strangers = reached & set().union(*(own[other] for other in TASKS if other != task))
            assert not strangers, _names(model, strangers)
        reached |= _reached(model, task, extras=True)
        missed = {id(p) for p in model.parameters() if id(p) in own[task] and p.requires_grad} - reached
        assert not missed, _names(model, missed)


@pytest.mark.parametrize("name", NAMES)
def test_every_trained_parameter_is_reached_by_some_loss(model: MultiTaskModel, name: str) -> None:
    reached = set().union(*(_reached(model, task, extras=True) for task in TASKS))
    missed = {id(p) for p in model.parameters() if p.requires_grad} - reached
    names = [n for n in _names(model, missed) if "pooler" not in n and "position_embeddings" not in n]
    # attention is indifferent to what is added to all keys, so that its gradient is rounding or zero
    assert not [n for n in names if not n.endswith(("key.bias", "token_type_embeddings.weight"))]


@pytest.mark.parametrize("name", NAMES)
def test_it_adds_the_losses_that_it_names(model: MultiTaskModel, name: str) -> None:
    model(CHUNK)
    assert not model.arrangement.extras
    model.train()
    model.arrangement.begin(5, 10)
    model(CHUNK)
    extras = model.arrangement.extras
    assert set(extras) == EXAMPLES[name].extras
    assert all(value.shape == () and bool(value.isfinite()) for value in extras.values())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_saved_and_loaded(model: MultiTaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    again = MultiTaskModel.from_pretrained(tmp_path / "model")
    assert again.architecture == model.architecture
    found, expected = again(CHUNK), model(CHUNK)
    for task in TASKS:
        assert torch.equal(found[task], expected[task])


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_goes_its_own_way(model: MultiTaskModel) -> None:
    expected = {task: logits.clone() for task, logits in model(CHUNK).items()}
    arrangement = copy.deepcopy(model.arrangement)
    found = arrangement(CHUNK)
    for task in TASKS:
        assert torch.equal(found[task], expected[task])
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    found = arrangement(CHUNK)
    for task in TASKS:
        assert torch.equal(found[task], expected[task])


@pytest.mark.parametrize("name", NAMES)
def test_a_chunk_of_one_task_leaves_the_others_out(model: MultiTaskModel) -> None:
    only = Chunk(CHUNK.tokens[:1], CHUNK.mask[:1], None, {"mood": owned(0)}, 5)
    assert set(model(only)) == {"mood"}


def _units(task: str, row: int) -> list[int]:
    own = CHUNK.owned[task]
    if own.words is None:
        return [at for at, owner in enumerate(own.rows.tolist()) if owner == row]
    return [at for at, owner in enumerate(own.words[0].tolist()) if owner == row]


def _reached(model: MultiTaskModel, task: str, *, extras: bool = False) -> set[int]:
    """The parameters that a loss of a task has a gradient for, by `id`."""
    model.zero_grad()
    model.train(extras)
    model.arrangement.begin(5, 10)
    torch.manual_seed(3)
    loss = model(CHUNK)[task].square().sum()
    if extras:
        early = model.arrangement.early.get(task)
        loss = loss + sum(model.arrangement.extras.values()) + (0 if early is None else early[1].square().sum())
    model.eval()
    loss.backward()
    return {id(p) for p in model.parameters() if p.grad is not None and bool(p.grad.any())}


def _names(model: MultiTaskModel, wanted: set[int]) -> list[str]:
    return [name for name, p in model.named_parameters() if id(p) in wanted]
