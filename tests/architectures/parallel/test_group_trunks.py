from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.architectures.toys import CHUNK, TASKS, chunk, owned
from tests.encoders.tiny import make

from motet.architectures.parallel.group_trunks import Grouped, GroupTrunks
from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.layers import borrowed
from motet.encoders.trunk import Trunk
from motet.errors import RecipeError
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation

SEVERAL: dict[str, Task] = {**TASKS, "more": Classification("more", source="s", classes=("a", "b"))}


def built(groups: dict[str, tuple[str, ...]], trunk: Trunk | None = None, tasks: Any = None, first: int = 1) -> Grouped:
    part = GroupTrunks(groups=groups, shared_layers=first)
    arrangement = part.build(make("bert") if trunk is None else trunk, TASKS if tasks is None else tasks).eval()
    assert isinstance(arrangement, Grouped)
    torch.manual_seed(1)
    with torch.no_grad():
        for p in arrangement.columns.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return arrangement


def reached(arrangement: Grouped, task: str) -> set[str]:
    """The stacks of layers that the answer of a task has a gradient for."""
    arrangement.zero_grad()
    arrangement(CHUNK)[task].square().sum().backward()
    names = {name for name, p in arrangement.named_parameters() if p.grad is not None and p.grad.any()}
    places = {"trunk.model.encoder.layer.0": "bottom", "trunk.model.encoder.layer.2": "top"}
    places |= {f"columns.stacks.of_{name}.1": name for name in SEVERAL}
    return {what for start, what in places.items() if any(name.startswith(start) for name in names)}


def test_a_group_learns_from_its_tasks_alone() -> None:
    arrangement = built({"one": ("mood",), "two": ("tags",)})
    assert arrangement.groups == [["count"], ["mood"], ["tags"]]
    assert reached(arrangement, "count") == {"bottom", "top"}
    assert reached(arrangement, "mood") == {"bottom", "mood"}
    assert reached(arrangement, "tags") == {"bottom", "tags"}


def test_where_every_task_has_a_group_the_first_keeps_the_trunk() -> None:
    arrangement = built({"one": ("mood", "tags"), "two": ("count",)})
    assert arrangement.columns.names == ["count"]
    assert reached(arrangement, "tags") == {"bottom", "top"}
    assert reached(arrangement, "count") == {"bottom", "count"}


def test_every_group_reads_the_rows_of_its_tasks_in_one_pass() -> None:
    arrangement = built({"one": ("mood", "tags")})
    read: list[tuple[int, ...]] = []
    arrangement.trunk.register_forward_hook(lambda trunk, given, out: read.append(tuple(given[0][:, 1].tolist())))
    arrangement(CHUNK)
    assert read == [(11, 14), (9, 11, 12)]


def test_a_task_reads_with_the_layers_of_its_group() -> None:
    arrangement = built({"one": ("mood", "tags")})
    plain = HardSharing().build(arrangement.trunk, TASKS).eval()
    plain.heads.load_state_dict(arrangement.heads.state_dict())
    outside = plain(CHUNK)
    with borrowed(arrangement.trunk, list(arrangement.layers("mood")), 1):
        inside = plain(CHUNK)
    found = arrangement(CHUNK)
    for task, expected in {"mood": inside, "tags": inside, "count": outside}.items():
        torch.testing.assert_close(found[task], expected[task], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(inside["mood"], outside["mood"], atol=1e-2)


def test_layers_of_a_group_of_one_are_that_task_s_own() -> None:
    arrangement = built({"one": ("mood",), "two": ("tags", "more")}, tasks=SEVERAL)
    own = {task: {id(p) for p in arrangement.own_parameters(task)} for task in SEVERAL}
    heads = {task: {id(p) for p in arrangement.heads.of(task)} for task in SEVERAL}
    assert own["mood"] - heads["mood"] == {id(p) for p in arrangement.columns.of("mood")}
    assert own["count"] - heads["count"] == {id(p) for p in arrangement.trunk.layers[1:].parameters()}
    assert own["tags"] == heads["tags"]
    assert own["more"] == heads["more"]


def test_what_is_written_is_written_behind_the_layers_of_the_group() -> None:
    tasks: dict[str, Task] = {
        "mood": TASKS["mood"],
        "text": Generation("text", source="s", target="t", longest=6),
        "other": Generation("other", source="s", target="t", longest=6),
    }
    trunk = make("t5")
    arrangement = built({"one": ("text",)}, trunk, tasks)
    several = chunk(text=owned(0, 1, 2, 3), other=owned(0, 1, 2, 3))
    bare = trunk.generate(several.tokens, several.mask, longest=6)
    with borrowed(trunk, list(arrangement.layers("text")), 1):
        inside = trunk.generate(several.tokens, several.mask, longest=6)
    found, other = (arrangement.write(several, tasks[name]) for name in ("text", "other"))
    assert [words.tolist() for words in found] == [words.tolist() for words in inside]
    assert [words.tolist() for words in other] == [words.tolist() for words in bare]
    assert [words.tolist() for words in inside] != [words.tolist() for words in bare]


def test_rows_of_some_tasks() -> None:
    part = CHUNK.part("count", "tags")
    assert part.tokens.tolist() == CHUNK.tokens.tolist()
    assert set(part.owned) == {"count", "tags"}
    part = chunk(mood=owned(0), count=owned(1, 3), tags=owned(3, words=[(3, 2), (3, 0)])).part("count", "tags")
    assert part.tokens.tolist() == CHUNK.tokens[[1, 3]].tolist()
    assert part.mask.tolist() == CHUNK.mask[[1, 3]].tolist()
    assert part.owned["count"].rows.tolist() == [0, 1]
    assert part.owned["tags"].rows.tolist() == [1]
    words = part.owned["tags"].words
    assert words is not None and words.tolist() == [[1, 1], [2, 0]]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "groups\n.*at least one group"),
        ({"one": ()}, "groups.one\n.*at least one task"),
        ({"one": ("a", "b"), "two": ("b",)}, "groups.two = b\n.*second time"),
        ({"one": ("a", "a")}, "groups.one = a\n.*second time"),
    ],
)
def test_groups_that_are_none(groups: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        GroupTrunks(groups=groups)


def test_a_task_that_is_not_there() -> None:
    part = GroupTrunks(groups={"one": ("mood",), "two": ("tgas",)})
    (problem,) = part.problems(TASKS, make("bert"))
    assert (problem.name, problem.found) == ("architecture.groups.two", "tgas")
    assert "Did you mean `tags`?" in problem.rule
