from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.hierarchical.making import assert_alone_as_in_company, fresh, moved, reached
from tests.architectures.toys import CHUNK, TASKS

from motet.architectures.heads import Pooling
from motet.architectures.hierarchical.signal_pipeline import SignalPipeline
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.errors import RecipeError
from motet.tasks.base import Task
from motet.tasks.tagging import Tagging

SIGNALS = {"mood": "tags"}


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_text_is_a_mixture_of_all_words_and_of_the_marked_ones(tiny_encoder: Path, pooling: Pooling) -> None:
    model: Any = moved(tiny_encoder, SignalPipeline(signals=SIGNALS, pooling=pooling, start=0.4)).arrangement
    states, g = model.trunk(CHUNK.tokens, CHUNK.mask).last, model.mixtures["of_mood"]
    found = model(CHUNK)["mood"]
    for unit, row in enumerate(CHUNK.owned["mood"].rows.tolist()):
        h = states[row, : int(CHUNK.mask[row].sum())]
        p = 1 - model.heads["of_tags"].linear(h).softmax(dim=1)[:, 0]
        marked = sum(p[i] * h[i] for i in range(len(h))) / p.sum()
        pooled = {"mean": h.mean(dim=0), "cls": h[0], "last": h[-1]}[pooling]
        expected = model.heads["of_mood"].linear((1 - g) * pooled + g * marked)
        torch.testing.assert_close(found[unit], expected, atol=1e-5, rtol=1e-5)


def test_without_a_share_it_is_hard_sharing(tiny_encoder: Path) -> None:
    plain, model = fresh(tiny_encoder, HardSharing()), fresh(tiny_encoder, SignalPipeline(signals=SIGNALS))
    model.arrangement.heads.load_state_dict(plain.arrangement.heads.state_dict())
    expected, found = plain(CHUNK), model(CHUNK)
    assert all(torch.equal(found[task], expected[task]) for task in TASKS)


def test_an_answer_depends_on_no_other_task_row_or_padding(tiny_encoder: Path) -> None:
    signals = {"mood": "tags", "count": "tags"}
    assert_alone_as_in_company(moved(tiny_encoder, SignalPipeline(signals=signals, start=0.5)))


def test_where_hardly_anything_is_marked_the_likeliest_words_are_read(tiny_encoder: Path) -> None:
    model: Any = fresh(tiny_encoder, SignalPipeline(signals=SIGNALS, start=1.0)).arrangement
    head = model.heads["of_tags"].linear
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([60.0, 0.0, 0.0]))
    weights = model._marked("tags", torch.randn(4, 5, head.in_features), CHUNK.mask)
    torch.testing.assert_close(weights, CHUNK.mask / CHUNK.mask.sum(dim=1, keepdim=True))
    with torch.no_grad():
        head.bias.copy_(torch.tensor([600.0, 0.0, 0.0]))
    assert bool(model(CHUNK)["mood"].isfinite().all())


@pytest.mark.parametrize("detach", [False, True])
def test_a_loss_teaches_the_tagger_unless_detached(tiny_encoder: Path, detach: bool) -> None:
    model = moved(tiny_encoder, SignalPipeline(signals=SIGNALS, start=0.5, detach=detach))
    found = reached(model, "mood")
    assert ("heads.of_tags.linear.weight" in found) != detach
    assert {"mixtures.of_mood", "heads.of_mood.linear.weight"} <= found
    assert "mixtures.of_mood" not in reached(model, "tags")


def test_the_label_outside_may_stand_anywhere(tiny_encoder: Path) -> None:
    tasks: dict[str, Task] = {**TASKS, "tags": Tagging("tags", source="s", classes=("B", "I", "O"), outside="O")}
    model: Any = moved(tiny_encoder, SignalPipeline(signals=SIGNALS, start=1.0), tasks).arrangement
    states = model.trunk(CHUNK.tokens, CHUNK.mask).last
    p = (1 - model.heads["of_tags"].linear(states).softmax(dim=-1)[..., 2]) * CHUNK.mask
    torch.testing.assert_close(model._marked("tags", states, CHUNK.mask), p / p.sum(dim=1, keepdim=True))


def test_what_does_not_fit_the_tasks(tiny_encoder: Path) -> None:
    trunk = fresh(tiny_encoder, HardSharing()).arrangement.trunk
    part = SignalPipeline(signals={"mood": "count", "tags": "tags", "coutn": "tags", "count": "tgas"})
    problems = {p.name.removeprefix("architecture.signals."): p for p in part.problems(TASKS, trunk)}
    assert "must be a task that labels words" in problems["mood"].rule
    assert "one answer" in problems["tags"].rule
    assert "Did you mean `count`?" in problems["coutn"].rule
    assert "Did you mean `tags`?" in problems["count"].rule
    assert list(SignalPipeline(signals=SIGNALS).problems(TASKS, trunk)) == []


@pytest.mark.parametrize("settings", [{"dropout": 1.0}, {"start": 1.1}, {"start": -0.1}])
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(settings))):
        SignalPipeline(**settings)
