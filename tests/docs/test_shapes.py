"""The page on answer shapes: its rows can be learnt from, its scores and answers are those of the shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.tasks.shapes import EXAMPLES, clean

from motet.metrics import METRICS
from motet.recipe import loads
from motet.recipe.parsing import parse_yaml
from motet.registry import names, part_name
from motet.tasks.base import Task

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "answer-shapes.md"
HEADING = re.compile(r"^## .*: `(\w+)`$", re.MULTILINE)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Section(NamedTuple):
    shape: str
    text: str

    def blocks(self, info: str) -> list[str]:
        return [found[2] for found in FENCE.finditer(self.text) if found[1] == info]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.blocks("text")[0].splitlines()]

    @property
    def tasks(self) -> tuple[Task, ...]:
        return loads(parse_yaml(self.blocks("yaml")[0]).data).tasks


_, *PARTS = HEADING.split(PAGE.read_text(encoding="utf-8"))
SECTIONS = [Section(*pair) for pair in zip(PARTS[::2], PARTS[1::2], strict=True)]
each = pytest.mark.parametrize("section", SECTIONS, ids=[section.shape for section in SECTIONS])


def test_every_shape_has_a_section() -> None:
    assert sorted(section.shape for section in SECTIONS) == names("task")


@each
def test_rows_fit_the_recipe(section: Section) -> None:
    task = section.tasks[0]
    assert part_name(task) == section.shape
    assert len(section.rows) == 2
    for row in section.rows:
        assert set(task.columns) <= set(row)
        assert task.complaint(row[task.target], row) == ""


@each
def test_scores_are_those_of_the_shape(section: Section) -> None:
    (line,) = re.findall(r"^\| scores \| (.*) \|$", section.text, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", line)) == section.tasks[0].metrics
    less = re.findall(r"`(\w+)` \([^)]*less is better\)", line)
    assert less == [name for name in section.tasks[0].metrics if not METRICS[name].higher_is_better]


@each
def test_answer_has_the_keys_of_the_shape(section: Section) -> None:
    example = EXAMPLES[section.shape]
    if not example.task.answers_texts:
        assert "answers no text" in section.text
        return
    batch = clean(example)
    decoded = batch.task.decode(batch.answers(example))
    shown = json.loads(section.blocks("text")[-1])
    assert shown.keys() == decoded[0].keys()
    assert [type(value) for value in shown.values()] == [type(value) for value in decoded[0].values()]
