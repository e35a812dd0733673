"""The plan: who labels what, and how large soft labels will be, held against what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.encoders.conftest import SIZE, make_gpt2, make_t5
from tests.training.conftest import Toys, source

from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.generation import Generation
from motet.tasks.language import CausalLanguage
from motet.tasks.regression import Regression
from motet.tasks.spans import Spans
from motet.tasks.tagging import Tagging
from motet.training.convergence import Never, Patience
from motet.training.plan import prepare
from motet.training.responses import Continue
from motet.training.trainer import facts

# Weights that hardly move give equal scores, of which the first is the peak.
AT_ONCE = Patience(checks=1, epochs=0.0, min_epochs=0.0, smooth=1, beyond_constant=False)
SHARED = source(train=150)
TASKS: dict[str, tuple[str, Task]] = {
    "tagging": ("bert", Tagging("places", source=SHARED, labels="tags")),
    "tagging with crf": ("bert", Tagging("places", source=SHARED, labels="tags", crf=True)),
    "spans": ("bert", Spans("where", source=SHARED, question="other", context="passage", answers="places", stride=4)),
    "classification": ("bert", Classification("mood", source=SHARED, label="mood")),
    "generation": ("t5", Generation("echo", source=SHARED, text="other", target="text", longest=30, top=4)),
    "all logits": ("t5", Generation("echo", source=SHARED, text="other", target="text", longest=30, top=0)),
    "causal_language": ("gpt2", CausalLanguage("words", source=SHARED, top=4)),
}


@pytest.fixture(scope="module")
def encoders(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {"bert": tiny_encoder}
    for kind, make in (("t5", make_t5), ("gpt2", make_gpt2)):
        folders[kind] = tmp_path_factory.mktemp(kind)
        for part in make():
            part.save_pretrained(folders[kind])
    return folders


@pytest.fixture
def make_toys_of(encoders: dict[str, Path], tmp_path: Path) -> Callable[[str], Toys]:
    return lambda kind: Toys(encoders[kind], tmp_path, ())


def row_of(plan: dict[str, Any], task: str) -> dict[str, Any]:
    (row,) = (row for row in plan["tasks"] if row["name"] == task)
    return dict(row)


@pytest.mark.parametrize("name", TASKS)
def test_soft_labels_are_as_large_as_was_said(make_toys_of: Callable[[str], Toys], name: str) -> None:
    kind, task = TASKS[name]
    run = make_toys_of(kind).run(AT_ONCE, tasks=(task,), steps=3, check_every=1, learning_rate=1e-12)
    events = run.folder.events()
    written = next(event for event in events if event["event"] == "soft_labels")
    assert (run.folder.path / written["file"]).stat().st_size == written["bytes"]
    said = row_of(events[0], task.name)
    assert said["soft_labels"] == pytest.approx(written["bytes"], rel=0.05)
    top = 4 * (2 * 4 + 1)  # four words, their logits, and that of all others
    assert said["bytes_per_token"] == {"generation": top, "all logits": 4 * SIZE, "causal_language": top}.get(name)


def test_a_task_that_is_read_otherwise_in_every_step_is_held_online(shape_toys: Toys) -> None:
    told = "words: held by an online teacher, since other words are hidden in every step"
    plan = prepare(shape_toys.experiment(Patience())).plan
    assert told in plan["notes"]
    row = row_of(plan, "words")
    assert (row["soft_labels"], row["bytes_per_token"]) == (None, None)
    assert all(row["soft_labels"] for row in plan["tasks"] if row["name"] != "words")
    for rule in (Never(), Patience(then=Continue()), Patience(tasks={"words": {"then": Continue()}})):
        assert told not in prepare(shape_toys.experiment(rule)).plan["notes"]


def test_the_plan_tells_who_labels_what(toys: Toys) -> None:
    rows = {split: [dict(row) for row in content] for split, content in source(train=20, validation=10).items()}
    for row in rows["train"][:5]:
        row["mood"] = None
    tasks = [replace(task, source=rows) for task in toys.tasks[:2]]
    shared, alone = prepare(toys.experiment(tasks=(*tasks, toys.tasks[2]))).plan["coverage"]
    assert (shared["tasks"], shared["pattern"]) == (["mood", "count"], "random")
    assert shared["splits"]["train"] == {"rows": 20, "labelled": {"mood": 15, "count": 20}, "carrying": [0, 5, 15]}
    assert list(shared["splits"]) == ["train", "validation", "test"]
    assert (alone["tasks"], alone["pattern"]) == (["within"], "disjoint")


@pytest.mark.parametrize(("monitor", "higher"), [("", True), ("rmse", False)])
def test_what_is_known_of_a_score_goes_by_the_metric_that_judges(toys: Toys, monitor: str, higher: bool) -> None:
    tasks = (Regression("count", source=SHARED, value="count"),)
    experiment = toys.experiment(Patience(monitor=monitor), tasks=tasks)
    known = facts(prepare(experiment).corpus, experiment.convergence)
    assert known["count"].higher_is_better is higher
