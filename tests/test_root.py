"""The names at the root of the package: found late, complete, and the same for type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

import motet
from motet.recipe.parts import KINDS, classes_of


def names_for_type_checkers() -> dict[str, str]:
    tree = ast.parse(inspect.getsource(motet))
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_every_name_is_found_where_type_checkers_find_it() -> None:
    told = names_for_type_checkers()
    homes = {name: home for name, home in told.items() if not home.startswith("motet.architectures.")}
    assert {name: f"motet.{home}" for name, home in motet._HOME_OF.items()} == homes
    for name, home in told.items():
        assert getattr(motet, name) is getattr(importlib.import_module(home), name)


def test_every_name_is_listed() -> None:
    assert {*names_for_type_checkers(), "__version__"} == set(motet.__all__)
    assert set(motet.__all__) <= set(dir(motet))


def test_every_registered_part_is_at_the_root() -> None:
    classes = {cls.__name__ for kind in KINDS.values() for cls in classes_of(kind).values()}
    assert classes <= set(motet.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'motet' has no attribute 'Clasification'"):
        _ = motet.Clasification
