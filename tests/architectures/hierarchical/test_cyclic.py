from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures.hierarchical.making import assert_alone_as_in_company, fresh, moved, reached
from tests.architectures.toys import CHUNK, TASKS

from motet.architectures.hierarchical.cyclic import Cyclic
from motet.architectures.hierarchical.pipeline import Pipeline
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.errors import RecipeError
from motet.tasks.base import Task
from motet.tasks.language import MaskedLanguage

ORDER = ("tags", "mood", "count")


def test_one_round_is_a_pipeline(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, Cyclic(order=ORDER, turns=1, size=5))
    line = fresh(tiny_encoder, Pipeline(feeds={"mood": ("tags",), "count": ("mood",)}, size=5))
    line.arrangement.load_state_dict(model.arrangement.state_dict())
    expected, found = line(CHUNK), model(CHUNK)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task])


@pytest.mark.parametrize("turns", [2, 3])
def test_rounds(tiny_encoder: Path, turns: int) -> None:
    model: Any = moved(tiny_encoder, Cyclic(order=ORDER, turns=turns, size=5)).arrangement
    states = model.trunk(CHUNK.tokens, CHUNK.mask).last
    found = model(CHUNK)
    row, unit = 2, 3
    h = states[row, : int(CHUNK.mask[row].sum())]

    def read(task: str, y: torch.Tensor) -> torch.Tensor:
        merge = model.readers[f"of_{task}"].merge
        together = torch.cat([h, y.expand(len(h), -1)], dim=1)
        told: torch.Tensor = h + merge.outer(torch.nn.functional.gelu(merge.inner(together)))
        return told

    def vectors(reader: str, task: str) -> Any:
        return model.readers[f"of_{reader}"].vectors[f"of_{task}"].vectors

    linear = {task: model.heads[f"of_{task}"].linear for task in TASKS}
    count = None
    for _ in range(turns):
        h_tags = h if count is None else read("tags", count @ vectors("tags", "count"))
        tags = linear["tags"](h_tags).softmax(dim=1)
        mood = linear["mood"](read("mood", (tags @ vectors("mood", "tags")).mean(dim=0)).mean(dim=0))
        count = linear["count"](read("count", mood.softmax(dim=0) @ vectors("count", "mood")).mean(dim=0))
    torch.testing.assert_close(found["tags"][unit], linear["tags"](h_tags[1]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["mood"][2], mood, atol=1e-5, rtol=1e-5)


def test_the_order_of_the_recipe_is_that_of_the_circle(tiny_encoder: Path) -> None:
    tasks: dict[str, Task] = {"words": MaskedLanguage("words", source="s"), **TASKS}
    assert Cyclic().circle(tasks) == ("mood", "count", "tags")
    default, named = (moved(tiny_encoder, Cyclic(order=order)) for order in ((), ("mood", "count", "tags")))
    expected, found = named(CHUNK), default(CHUNK)
    assert all(torch.equal(found[task], expected[task]) for task in TASKS)


def test_a_task_outside_the_circle_reads_the_trunk(tiny_encoder: Path) -> None:
    model = moved(tiny_encoder, Cyclic(order=("tags", "mood"), size=5))
    plain = fresh(tiny_encoder, HardSharing())
    plain.arrangement.load_state_dict(model.arrangement.state_dict(), strict=False)
    torch.testing.assert_close(model(CHUNK)["count"], plain(CHUNK)["count"])
    assert_alone_as_in_company(model)


def test_an_answer_depends_on_no_other_task_row_or_padding(tiny_encoder: Path) -> None:
    assert_alone_as_in_company(moved(tiny_encoder, Cyclic(order=ORDER, turns=3, size=5)))


def test_a_loss_goes_round_as_far_as_there_are_rounds(tiny_encoder: Path) -> None:
    for turns in (1, 2):
        model = moved(tiny_encoder, Cyclic(order=ORDER, turns=turns, size=5))
        heads = {name.split(".")[1] for name in reached(model, "tags") if name.startswith("heads")}
        assert heads == ({"of_tags"} if turns == 1 else {"of_tags", "of_mood", "of_count"})
        assert {"heads.of_tags.linear.weight", "heads.of_mood.linear.weight"} <= reached(model, "count")


def test_what_does_not_fit_the_tasks(tiny_encoder: Path) -> None:
    trunk = fresh(tiny_encoder, HardSharing()).arrangement.trunk
    tasks: dict[str, Task] = {"words": MaskedLanguage("words", source="s"), **TASKS}
    problems = list(Cyclic(order=("tgas", "words")).problems(tasks, trunk))
    assert [p.found for p in problems] == ["tgas", "words"]
    assert "Did you mean `tags`?" in problems[0].rule
    assert "`words` answers with words" in problems[1].rule
    lonely = {name: tasks[name] for name in ("words", "mood")}
    assert "two tasks or more" in next(iter(Cyclic().problems(lonely, trunk))).rule
    assert list(Cyclic().problems(tasks, trunk)) == []


@pytest.mark.parametrize(
    "settings", [{"dropout": 1.0}, {"turns": 0}, {"size": 0}, {"order": ("a",)}, {"order": ("a", "b", "a")}]
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=next(iter(settings))):
        Cyclic(**settings)
