"""The reference pages against the source: the recipe, the events and the warning codes."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCE = ROOT / "src" / "motet"
TREES = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.rglob("*.py"))]


def calls() -> Iterator[ast.Call]:
    """The calls that write an event."""
    for node in (node for tree in TREES for node in ast.walk(tree)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in ("event", "write") and node.args and isinstance(node.args[0], ast.Constant):
            yield node


def name_of(call: ast.Call) -> str:
    assert isinstance(call.args[0], ast.Constant)
    return str(call.args[0].value)


def sections(page: str) -> dict[str, str]:
    """What stands under every heading that is one word of code."""
    parts = re.split(r"^## `(.+)`$", (REFERENCE / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def fields(section: str) -> set[str]:
    """The fields in the first column of its table."""
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {field for cell in cells for field in re.findall(r"`(\w+)`", cell)}


def codes() -> Iterator[str]:
    """The codes of warnings: given by name, in a mapping with a message, or first to `_warn`."""
    for node in (node for tree in TREES for node in ast.walk(tree)):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.keyword) and node.arg == "code":
            found = [node.value]
        elif isinstance(node, ast.Dict):
            found = [v for k, v in zip(node.keys, node.values, strict=True) if getattr(k, "value", "") == "code"]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_warn":
            found = [node.args[0]]
        yield from (str(value.value) for value in found if isinstance(value, ast.Constant))


def test_recipe_page_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))
    page = (REFERENCE / "recipe.md").read_text(encoding="utf-8")
    assert page == script["page"](), "run `python docs/make_reference.py`"


def test_every_code_has_a_section_and_no_other_does() -> None:
    assert set(codes()) == set(sections("codes.md"))


def test_every_event_has_a_section_and_no_other_does() -> None:
    assert {name_of(call) for call in calls()} == set(sections("events.md"))


@pytest.mark.parametrize("event", sorted({name_of(call) for call in calls()}))
def test_fields_of_an_event(event: str) -> None:
    """Fields that are handed over as a mapping cannot be seen here; two events have such."""
    of_event = [call for call in calls() if name_of(call) == event]
    written = {word.arg for call in of_event for word in call.keywords if word.arg}
    documented = fields(sections("events.md")[event])
    assert written <= documented
    if event not in ("plan", "candidates"):
        assert documented <= written
