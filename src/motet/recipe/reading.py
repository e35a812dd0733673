"""Parts from plain data: strict, and with everything that is wrong told at once.

No value is guessed at. A key that nobody knows is a problem, with the name that was probably meant or the place where
the key belongs.

    >>> reader = Reader()
    >>> reader.part("sampler", {"type": "temperature", "temprature": 3}, "sampler")
    >>> print(*reader.problems)
    sampler.temprature
        unknown key. Did you mean `temperature`?
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from motet.errors import Problem, RecipeError, UserError, nearest
from motet.recipe.parts import (
    KINDS,
    class_of_list,
    classes_of,
    default_name,
    kind_of_list,
    presets,
    required,
    types_of,
    word_field,
)
from motet.recipe.strangers import stranger
from motet.recipe.values import WrongTypeError, convert, shown
from motet.registry import Kind, find

__all__ = ["Reader"]


class Reader:
    """Makes parts and collects what is wrong; whatever is wrong in itself comes out as None."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def part(self, kind: Kind, data: Any, place: str, default: str = "", fixed: Mapping[str, Any] | None = None) -> Any:
        """A registered part, from a word or from a mapping with `type`.

        Args:
            kind: of the part.
            data: what the recipe says.
            place: where it says it.
            default: the type where none is given.
            fixed: fields that are known already and no keys of the recipe.
        """
        if isinstance(data, str):
            return self._chosen(kind, data, {}, place, place, fixed or {})
        if not isinstance(data, Mapping):
            leave = f" Leave `{place}` out for the default, `{default}`." if default else ""
            return self.wrong(place, "must be a word or a mapping with `type`", data, leave.strip())
        spelled = {key: value for key, value in data.items() if key != "type"}
        name = data.get("type", default)
        if not isinstance(name, str) or not name:
            rule = "must be text" if "type" in data else "is missing"
            return self.wrong(f"{place}.type", rule, data.get("type", ""), nearest("", classes_of(kind)))
        return self._chosen(kind, name, spelled, place, f"{place}.type", fixed or {})

    def parts(self, kind: Kind, data: Any, place: str) -> Any:
        """Registered parts from a list."""
        if not isinstance(data, list):
            return self.wrong(place, "must be a list of words and mappings with `type`", data)
        read = [self.part(kind, spelled, f"{place}.{at}") for at, spelled in enumerate(data)]
        return None if None in read else tuple(read)

    def plain(self, cls: type, data: Any, place: str) -> Any:
        """An instance of a class that is the only one of its kind, from a mapping or, where it has one, its word."""
        word = word_field(cls)
        if word and isinstance(data, str):
            data = {word: data}
        if not isinstance(data, Mapping):
            return self.wrong(place, f"must be {'text or ' if word else ''}a mapping", data)
        return self.build(cls, data, place)

    def plain_list(self, cls: type, data: Any, place: str) -> Any:
        """Instances of such a class from a list."""
        if not isinstance(data, list):
            return self.wrong(place, "must be a list of mappings", data)
        read = [self.plain(cls, spelled, f"{place}.{at}") for at, spelled in enumerate(data)]
        return None if None in read else tuple(read)

    def build(
        self,
        cls: type,
        data: Mapping[str, Any],
        place: str,
        base: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> Any:
        """An instance of a class from its fields.

        Args:
            cls: a dataclass.
            data: fields by name.
            place: where they stand.
            base: values of fields that `data` does not name, instead of the defaults.
            fixed: as for `part`.
        """
        start = len(self.problems)
        known = {**(base or {}), **(fixed or {}), **self._fields(cls, data, place, fixed or {})}
        for key in sorted(required(cls) - known.keys() - data.keys()):
            self.wrong(f"{place}.{key}", "is missing")
        built = self._made(cls, known, place) if required(cls) <= known.keys() else None
        return built if len(self.problems) == start else None

    def value(self, cls: type, key: str, data: Any, place: str) -> Any:
        """What one field of a class is to hold."""
        hint = types_of(cls)[key]
        if hint in KINDS:
            return self.part(KINDS[hint], data, place, default_name(cls, key))
        if (kind := kind_of_list(hint)) is not None:
            return self.parts(kind, data, place)
        if (item := class_of_list(hint)) is not None:
            return self.plain_list(item, data, place)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.plain(hint, data, place)
        read = self.typed(hint, data, place)
        return self._changes(cls, read or {}, place) if hint == Mapping[str, Mapping[str, Any]] else read

    def typed(self, hint: Any, data: Any, place: str) -> Any:
        """A value that is no part, held against its type."""
        try:
            return convert(hint, data)
        except WrongTypeError as error:
            return self.wrong(place, error.rule, data, error.remedy)

    def wrong(self, place: str, rule: str, found: Any = "", remedy: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(place, rule, "" if found == "" else shown(found), remedy))

    def _chosen(
        self, kind: Kind, name: str, data: Mapping[str, Any], place: str, type_place: str, fixed: Mapping[str, Any]
    ) -> Any:
        preset = presets(kind).get(name)
        if preset is not None:
            return self.build(type(preset), data, place, base=vars(preset), fixed=fixed)
        try:
            cls = find(kind, name)
        except RecipeError:
            options = [*classes_of(kind), *presets(kind)]
            return self.wrong(type_place, f"is no {kind}", name, nearest(name, options))
        return self.build(cls, data, place, fixed=fixed)

    def _fields(self, cls: type, data: Mapping[str, Any], place: str, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """The values of those keys that can be read."""
        own = [key for key in types_of(cls) if key not in fixed]
        values: dict[str, Any] = {}
        for key, spelled in data.items():
            before = len(self.problems)
            if key in own:
                value = self.value(cls, key, spelled, f"{place}.{key}")
                values |= {key: value} if len(self.problems) == before else {}
            elif key in fixed:
                self.wrong(f"{place}.{key}", "is the key that the task stands under", spelled, "Leave it out.")
            else:
                self.problems.append(stranger(key, place, own))
        return values

    def _made(self, cls: type, known: Mapping[str, Any], place: str) -> Any:
        try:
            return cls(**known)
        except UserError as error:
            self.problems += [problem.under(place) for problem in error.problems] or [Problem(place, str(error))]
            return None

    def _changes(self, cls: type, changes: Mapping[str, Mapping[str, Any]], place: str) -> dict[str, dict[str, Any]]:
        """Other values for fields of the class itself, by task; which of them may change, the class says."""
        return {
            task: {
                key: self.value(cls, key, value, f"{place}.{task}.{key}") if key in types_of(cls) else value
                for key, value in change.items()
            }
            for task, change in changes.items()
        }
