from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.hierarchical.making import assert_alone_as_in_company, fresh, moved, reached
from tests.architectures.toys import CHUNK, TASKS

from motet.architectures.heads import Pooling
from motet.architectures.hierarchical.interactive import Interactive
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.trunk import States
from motet.errors import RecipeError
from motet.tasks.base import Task
from motet.tasks.language import MaskedLanguage


def test_one_turn_is_hard_sharing(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, Interactive(turns=1))
    plain = fresh(tiny_encoder, HardSharing())
    plain.arrangement.load_state_dict(model.arrangement.state_dict())  # the same parameters, and no others
    expected, found = plain(CHUNK), model(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("turns", [2, 3])
def test_turns_change_the_states_by_all_answers(tiny_encoder: Path, turns: int) -> None:
    model: Any = moved(tiny_encoder, Interactive(turns=turns, size=5)).arrangement
    states = model.trunk(CHUNK.tokens, CHUNK.mask).last
    logits = {task: model.heads[f"of_{task}"].linear for task in TASKS}
    vectors = {task: model.labels[f"of_{task}"].vectors for task in TASKS}
    found = model(CHUNK)
    row, unit = 2, 3
    h = states[row, : int(CHUNK.mask[row].sum())]
    for _ in range(turns - 1):
        mood = logits["mood"](h.mean(dim=0)).softmax(dim=0) @ vectors["mood"]
        count = logits["count"](h.mean(dim=0)) @ vectors["count"]
        tags = logits["tags"](h).softmax(dim=1) @ vectors["tags"]
        turned = []
        for i in range(len(h)):
            together = torch.cat([h[i], mood, count, tags[i], tags.mean(dim=0)])
            turned.append(h[i] + model.f.outer(torch.nn.functional.gelu(model.f.inner(together))))
        h = torch.stack(turned)
    torch.testing.assert_close(found["tags"][unit], logits["tags"](h[1]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["mood"][2], logits["mood"](h.mean(dim=0)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_an_answer_depends_on_no_other_task_row_or_padding(tiny_encoder: Path, pooling: Pooling) -> None:
    assert_alone_as_in_company(moved(tiny_encoder, Interactive(turns=3, size=5, pooling=pooling)))


def test_all_tasks_are_taught_by_every_loss(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, Interactive(size=5))
    for task in TASKS:
        found = reached(model, task)
        assert {f"heads.of_{other}.linear.weight" for other in TASKS} <= found
        assert {f"labels.of_{other}.vectors" for other in TASKS} <= found
        assert "f.outer.weight" in found
    own = {id(p) for task in TASKS for p in model.arrangement.own_parameters(task)}
    named = {name.split(".")[0] for name, p in model.arrangement.named_parameters() if id(p) not in own}
    assert named == {"trunk", "f"}


def test_a_pooling_of_one_token_hears_of_all_words(tiny_encoder: Path) -> None:
    """Only the last word is labelled differently; the first token answers otherwise."""
    model: Any = moved(tiny_encoder, Interactive(size=5, pooling="cls")).arrangement
    states = model.trunk(CHUNK.tokens, CHUNK.mask).last.detach()
    other = states.clone()
    other[0, 3] += 5.0
    before, after = (model.every(CHUNK, {"mood": CHUNK.part("mood")}, States(h))["mood"] for h in (states, other))
    assert not torch.allclose(before[0, 0], after[0, 0])
    torch.testing.assert_close(before[1:], after[1:])


def test_a_language_model_listens_and_says_nothing(tiny_encoder: Path) -> None:
    tasks: dict[str, Task] = {**TASKS, "words": MaskedLanguage("words", source="s")}
    model: Any = moved(tiny_encoder, Interactive(size=5), tasks).arrangement
    assert set(model.labels) == {f"of_{task}" for task in TASKS}
    only = {"words": MaskedLanguage("words", source="s")}
    problems = list(Interactive().problems(only, model.trunk))
    assert [p.name for p in problems] == ["architecture.turns"]
    assert list(Interactive(turns=1).problems(only, model.trunk)) == []


@pytest.mark.parametrize("settings", [{"dropout": 1.0}, {"turns": 0}, {"size": 0}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(settings))):
        Interactive(**settings)
