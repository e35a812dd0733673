"""The pages of the methods, the troubleshooting page and the page on migration, against the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from tests.docs.pages import DOCS, FENCE, ROOT, maker

import motet
from motet.data.findings import look
from motet.recipe import loads
from motet.recipe.parsing import parse_yaml
from motet.recipe.parts import SECTIONS, classes_of, types_of
from motet.registry import Kind, names
from motet.training.experiment import Training

TASKS = {
    "mood": {"type": "classification", "source": "a.csv", "label": "mood"},
    "topic": {"type": "classification", "source": "a.csv", "label": "topic"},
    "entities": {"type": "tagging", "source": "b.conll"},
}
PARTS = [(kind, name) for kind in get_args(Kind) for name in names(kind)]
each = pytest.mark.parametrize(("kind", "name"), PARTS, ids=[f"{kind}-{name}" for kind, name in PARTS])


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    pages: dict[str, str] = maker("make_methods").pages()
    return pages


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


@each
def test_every_part_has_a_page(kind: Kind, name: str, made: dict[str, str]) -> None:
    page, cls = made[f"methods/{kind}/{name}.md"], classes_of(kind)[name]
    keys = re.findall(r"^\| `(\w+)` \|", section(page, "Keys"), re.MULTILINE)
    assert keys == [field for field in types_of(cls) if (kind, field) != ("task", "name")]
    assert len(section(page, "Source")) > 20
    assert re.search(r"^\*\*When to use it\.\*\* .{15,}", page, re.MULTILINE)
    assert f"motet.{cls.__name__}" in page and cls.__name__ in motet.__all__


@each
def test_the_recipe_of_a_page_is_one(kind: Kind, name: str, made: dict[str, str]) -> None:
    shown = [found[2] for found in FENCE.finditer(made[f"methods/{kind}/{name}.md"]) if found[1] == "yaml"]
    if kind == "task":
        return  # shown with columns and rows in the guide on answer shapes
    experiment = loads({"tasks": TASKS, **parse_yaml(shown[0]).data})
    parts = [getattr(experiment, field) for field in SECTIONS if hasattr(experiment, field)]
    parts += [*experiment.regularisers, getattr(experiment.convergence, "then", None)]
    assert classes_of(kind)[name] in map(type, parts)


def test_every_part_is_in_the_tables(made: dict[str, str]) -> None:
    for kind, name in PARTS:
        assert f"]({kind}/{name}.md)" in made["methods/index.md"]
        assert f"]({name}.md)" in made[f"methods/{kind}/index.md"]


def test_a_family_is_named_once() -> None:
    """The parts of a family stand together, so that the tables name it once."""
    families: dict[str, list[str]] = {}
    for method in maker("make_methods").methods():
        of_kind = families.setdefault(method.kind, [])
        if not of_kind or of_kind[-1] != method.family:
            of_kind.append(method.family)
    assert all(len(found) == len(set(found)) for found in families.values())


def test_every_public_name_has_a_place(made: dict[str, str]) -> None:
    page = maker("make_python").page()
    for name in motet.__all__:
        if not name.startswith("__") and name != "PRESETS":
            assert f"motet.{name}" in page, name


def strings() -> str:
    """Every piece of text in the source, as messages are made of."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "src" / "motet").rglob("*.py")]
    found = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return "\n".join(value for value in found if isinstance(value, str)).replace("`", "")


def messages() -> Iterator[str]:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    yield from re.findall(r"^### `(.+)`$", page, re.MULTILINE)


def test_every_message_of_the_page_is_one_of_ours() -> None:
    said = strings()
    pieces = [piece.strip() for message in messages() for piece in re.split("…", message)]
    assert len(pieces) > 50
    assert [piece for piece in pieces if piece.strip(" .,") and piece not in said] == []


def test_every_check_of_the_data_has_a_section() -> None:
    listed = re.findall(r"^    ([a-z-]+) +\w", ast.get_docstring(ast.parse(source_of(look))) or "", re.MULTILINE)
    page = (DOCS / "reference" / "codes.md").read_text(encoding="utf-8")
    explained = re.findall(r"^### `([a-z-]+)`$", page.partition("## Checks of the data")[2], re.MULTILINE)
    guide = (DOCS / "guides" / "your-data.md").read_text(encoding="utf-8")
    assert explained == listed
    assert re.findall(r"^\| `([a-z-]+)` \|", guide.partition("looks for")[2], re.MULTILINE) == listed


def source_of(function: Any) -> str:
    path = ROOT / "src" / f"{str(function.__module__).replace('.', '/')}.py"
    return path.read_text(encoding="utf-8")


def known() -> set[str]:
    """What a name in a column called motet may be: of a part, a key, a class, a section or a command."""
    keys = {key for kind in get_args(Kind) for cls in classes_of(kind).values() for key in types_of(cls)}
    parts = {name for kind in get_args(Kind) for name in names(kind)}
    extra = {"listeners", "check", "motet resume"}  # an argument of `train`, an event, a command
    return keys | parts | extra | set(motet.__all__) | set(SECTIONS) | set(types_of(Training))


def test_migration_names_what_is_here() -> None:
    page = (DOCS / "migration.md").read_text(encoding="utf-8")
    found = 0
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        ours = [at for at, title in enumerate(head) if title == "motet"]
        for name in (name for row in rows for at in ours for name in re.findall(r"`([^`]+)`", row[at])):
            found += 1
            assert name in known(), f"{name}: {table.splitlines()[0]}"
    assert found > 50
