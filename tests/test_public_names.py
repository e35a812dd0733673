"""Every `__all__` tells the truth, and the root of the package offers what it lists."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"


def lists_names(file: Path) -> bool:
    """Whether a file has an `__all__`; read without importing it."""
    assigned = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    return any(ast.unparse(target) == "__all__" for node in assigned for target in node.targets)


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def bound_names(body: list[ast.stmt]) -> set[str]:
    """The names that statements bind by import, definition or assignment."""
    bound: set[str] = set()
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.Assign):
            bound |= {ast.unparse(target) for target in node.targets}
    return bound


FILES = sorted((SOURCE / "motet").rglob("*.py"))
LISTING = [module_name(file) for file in FILES if lists_names(file)]


@pytest.mark.parametrize("name", LISTING)
def test_listed_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    missing = [listed for listed in module.__all__ if not hasattr(module, listed)]
    assert not missing, f"{name}.__all__ lists what is not there: {missing}"


@pytest.mark.parametrize("name", LISTING)
def test_listed_names_are_public_and_listed_once(name: str) -> None:
    listed = list(importlib.import_module(name).__all__)
    assert len(listed) == len(set(listed))
    assert not [entry for entry in listed if entry.startswith("_") and entry != "__version__"]


def test_root_lists_what_it_offers() -> None:
    root = importlib.import_module("motet")
    assert set(root.__all__) <= set(dir(root)), "`dir` leaves out lazy names"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = root.no_such_name


def test_type_checkers_see_what_users_get() -> None:
    body = ast.parse((SOURCE / "motet" / "__init__.py").read_text(encoding="utf-8")).body
    guarded = [node.body for node in body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    lazy = set(importlib.import_module("motet").__all__) - bound_names(body)
    assert set().union(*map(bound_names, guarded)) == lazy
