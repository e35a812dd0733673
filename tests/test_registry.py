"""Parts: entered once, found by name, spelt back as a recipe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from motet import registry
from motet.errors import RecipeError
from motet.registry import describe, find, names, part_name, register


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test enters a part that another test can see, or loads an installed package."""
    monkeypatch.setattr(registry, "_parts", {})
    monkeypatch.setattr(registry, "_names", {})
    monkeypatch.setattr(registry, "_loaded_entry_points", set())
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    yield


@dataclass(frozen=True, kw_only=True)
class Steady:
    """A part."""

    rate: float = 1.0
    inner: Any = None
    options: dict[str, Any] = field(default_factory=dict)


def test_a_part_is_found_under_its_name() -> None:
    assert register("sampler", "steady")(Steady) is Steady
    assert find("sampler", "steady") is Steady
    assert part_name(Steady()) == "steady"
    assert names("sampler") == ["steady"]
    assert names("schedule") == []


def test_names_are_sorted() -> None:
    for name in ("c", "a", "b"):
        register("balance", name)(type(name, (), {}))
    assert names("balance") == ["a", "b", "c"]


def test_a_name_belongs_to_its_kind() -> None:
    register("sampler", "steady")(Steady)
    with pytest.raises(RecipeError, match=r"unknown schedule `steady`\. There are none\."):
        find("schedule", "steady")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    register("sampler", "steady")(Steady)
    with pytest.raises(RecipeError, match=r"unknown sampler `stedy`\. Did you mean `steady`\?"):
        find("sampler", "stedy")


def test_an_unknown_kind_is_a_fault_of_the_programmer() -> None:
    with pytest.raises(ValueError, match=r"`kind` must be one of .* found 'flavour'"):
        register("flavour", "steady")  # type: ignore[arg-type]


def test_a_taken_name_is_refused() -> None:
    register("sampler", "steady")(Steady)
    with pytest.raises(ValueError, match=r"sampler 'steady' is taken by .*Steady"):
        register("sampler", "steady")(type("Other", (), {}))


def test_a_class_of_equal_name_from_elsewhere_is_refused() -> None:
    register("sampler", "steady")(Steady)
    stranger = type("Steady", (), {"__module__": "elsewhere", "__qualname__": Steady.__qualname__})
    with pytest.raises(ValueError, match="is taken"):
        register("sampler", "steady")(stranger)


def test_a_class_may_be_defined_again() -> None:
    register("sampler", "steady")(Steady)
    again = type("Steady", (), {"__module__": Steady.__module__, "__qualname__": Steady.__qualname__})
    register("sampler", "steady")(again)
    assert find("sampler", "steady") is again


def test_outside_packages_are_loaded_once_and_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load() -> None:
        loads.append("outside")
        register("sampler", "outside.steady")(Steady)

    points = [SimpleNamespace(value="outside.parts", load=load)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "motet.parts" else [])
    register("sampler", "known")(type("Known", (), {}))
    find("sampler", "known")
    assert loads == []
    assert find("sampler", "outside.steady") is Steady
    with pytest.raises(RecipeError):
        find("sampler", "missing")
    assert loads == ["outside"]


def test_a_part_is_spelt_as_in_a_recipe() -> None:
    register("sampler", "steady")(Steady)
    part = Steady(rate=2.0, inner=Steady(), options={"a": (1, [Steady()])})
    plain = {"type": "steady", "rate": 1.0, "inner": None, "options": {}}
    assert describe(part) == {"type": "steady", "rate": 2.0, "inner": plain, "options": {"a": [1, [plain]]}}
    assert json.loads(json.dumps(describe(part))) == describe(part)


def test_a_dataclass_that_is_no_part_is_spelt_without_type() -> None:
    assert describe(Steady(rate=2.0)) == {"rate": 2.0, "inner": None, "options": {}}


def test_a_path_is_spelt_as_text() -> None:
    assert describe({"source": Path("data") / "reviews.csv"}) == {"source": f"data{os.sep}reviews.csv"}


def test_an_object_may_describe_itself() -> None:
    class Own:
        def describe(self) -> str:
            return "by hand"

    assert describe([Own()]) == ["by hand"]
