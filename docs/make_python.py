"""The page about the names in Python, from the docstrings: what a user types, and the modules that stand beside it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from docstrings import entries, example, markdown, parse
from make_methods import methods

import motet

__all__ = ["names", "page"]

_INTRODUCTION = """# Python

`import motet` is quick: every name is looked up when it is first used. Wrong arguments raise a `motet.UserError` with
all that is wrong. The keys of a [recipe](recipe.md) are the arguments of these classes, so what is said there of a key
holds here.

Parts (tasks, samplers, balances, ...) have [pages of their own](../methods/index.md)."""
_TITLES = {"Args": "Takes", "Attributes": "Has", "Returns": "Returns", "Raises": "Raises"}
_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_MODULES = {
    "motet.recipe": "A recipe file as objects, and back.",
    "motet.runs": "The run folder.",
    "motet.metrics": "Scores by themselves.",
    "motet.significance": "Tests of a difference.",
    "motet.registry": "Parts of your own.",
    "motet.errors": "What goes wrong.",
}


def names() -> list[str]:
    """The public names of motet that are no registered parts."""
    parts = {method.cls.__name__ for method in methods()}
    return [name for name in motet.__all__ if name not in parts and not name.startswith("__")]


def page() -> str:
    """The whole page."""
    things = {name: getattr(motet, name) for name in names()}
    functions = {name: thing for name, thing in things.items() if inspect.isfunction(thing)}
    classes = {name: thing for name, thing in things.items() if inspect.isclass(thing)}
    parts = [_INTRODUCTION]
    parts += [_entry(f"motet.{name}", thing) for name, thing in sorted(functions.items())]
    parts += [_entry(f"motet.{name}", thing) for name, thing in classes.items()]
    for module, told in _MODULES.items():
        parts += [f"## {module}", told, *_of_module(module)]
    return "\n\n".join([*parts, _parts()]) + "\n"


def _of_module(name: str) -> Iterator[str]:
    module = import_module(name)
    for public in module.__all__:
        thing = getattr(module, public)
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__doc__:
            yield _entry(f"{name}.{public}", thing, level=3)


def _entry(name: str, thing: Any, level: int = 2) -> str:
    told = parse(thing)
    parts = [f"{'#' * level} {name}", f"```text\n{_signature(name, thing)}\n```", markdown(told.summary)]
    parts += [markdown(told.body)] if told.body else []
    for title in ("Args", "Attributes", "Returns", "Raises"):
        if title in told.sections:
            parts.append(f"**{_TITLES[title]}** {_section(told.sections[title])}")
    if inspect.isclass(thing):
        parts += _methods_of(thing)
    if "Example" in told.sections:
        parts.append(example(told.sections["Example"]))
    return "\n\n".join(parts)


def _section(text: str) -> str:
    found = entries(text)
    if not found:
        return markdown(text)
    return "\n\n" + "\n".join(f"* `{name}`: {markdown(told)}" for name, told in found.items())


def _methods_of(cls: type) -> list[str]:
    """A table of what an object can be asked, with the first sentence of each."""
    rows = []
    for name, _ in inspect.getmembers(cls, lambda member: callable(member) or isinstance(member, property)):
        found = next(base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)
        home = next(base for base in cls.__mro__ if name in base.__dict__)
        told = parse(found.fget if isinstance(found, property) else getattr(found, "__func__", found)).summary
        if not name.startswith("_") and told and home.__module__.startswith("motet."):
            call = "" if isinstance(found, property) else "()"
            rows.append(f"| `{name}{call}` | {markdown(' '.join(told.split()))} |".replace("||", "\\|\\|"))
    return ["\n".join(["| | |", "| --- | --- |", *rows])] if rows else []


def _signature(name: str, thing: Any) -> str:
    """As a user would call it, an argument a line where it is long."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return name
    signature = inspect.signature(thing)
    parameters = list(_parameters(signature, thing))
    line = f"{name}({', '.join(parameters)})"
    return line if len(line) <= 100 else "\n".join([f"{name}(", *(f"    {shown}," for shown in parameters), ")"])


def _parameters(signature: inspect.Signature, thing: Any) -> Iterator[str]:
    """Each as it is written, with a star before the first that has to be named."""
    starred = False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_POSITIONAL)
        yield _shown(parameter, thing)


def _shown(parameter: inspect.Parameter, thing: Any) -> str:
    star = _STARS.get(parameter.kind, "")
    if parameter.default is inspect.Parameter.empty:
        return f"{star}{parameter.name}"
    fields = {f.name: f for f in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else {}
    factory = fields[parameter.name].default_factory if parameter.name in fields else dataclasses.MISSING
    default = parameter.default if factory is dataclasses.MISSING else factory()
    spelled = "..." if inspect.isfunction(default) else " ".join(repr(default).split())
    return f"{parameter.name}={spelled}"


def _parts() -> str:
    rows = [f"| [`motet.{m.cls.__name__}`](../methods/{m.path}) | {m.kind} | `{m.name}` |" for m in methods()]
    return "\n".join(["## Parts", "", "| class | kind | name in a recipe |", "| --- | --- | --- |", *rows])
