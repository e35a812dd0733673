"""Pages about the methods: one for every registered part, one for each kind, and a table of all of them.

What a page says comes from the docstring of the part and from `methods.yaml`, which says when to use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from docstrings import example, markdown, parse
from make_reference import table
from ruamel.yaml import YAML

from motet.recipe.parts import classes_of
from motet.registry import Kind

__all__ = ["KINDS", "Method", "methods", "pages"]


class _Kind(NamedTuple):
    plural: str
    question: str
    guide: str
    default: str


KINDS: dict[Kind, _Kind] = {
    "task": _Kind("Answer shapes", "What is asked of a text?", "answer-shapes.md", ""),
    "architecture": _Kind("Architectures", "What do tasks share?", "architectures.md", "hard_sharing"),
    "balance": _Kind("Balances", "How do losses or gradients become one update?", "gradients.md", "sum"),
    "sampler": _Kind("Samplers", "Whose rows make up a batch?", "sampling.md", "temperature"),
    "schedule": _Kind("Schedules", "Which tasks are live when?", "schedules.md", "joint"),
    "regulariser": _Kind("Regularisers", "What is added to the losses?", "regularisers.md", ""),
    "convergence": _Kind("Convergence", "When has a task converged?", "../concepts/convergence.md", "patience"),
    "response": _Kind("Answers to convergence", "What happens then?", "../concepts/convergence.md", "distill"),
}
_NO_SOURCE = "Common practice: there is no single publication."
_INTRODUCTION = """# Which method where

All parts that come with motet, by what they answer and by family. The first line of each table to think about is the
default. It is the default because it is cheap, and because nothing that was measured here beat it beyond noise: see
[how we compare](../concepts/how-we-compare.md) and the [results](../index.md#results). So take another one for a
reason, and compare it with the default, at equal cost and with several seeds."""


class Method(NamedTuple):
    """A registered part, with what `methods.yaml` says of it."""

    kind: Kind
    name: str
    cls: type
    family: str
    when: str
    recipe: str

    @property
    def path(self) -> str:
        """Of its page, below `methods`."""
        return f"{self.kind}/{self.name}.md"

    @property
    def source(self) -> str:
        """Where it was published, in Markdown."""
        return markdown(parse(self.cls).sections.get("Source", "")) or _NO_SOURCE


@cache
def methods() -> tuple[Method, ...]:
    """All registered parts, in the order of `methods.yaml`.

    Raises:
        KeyError: the file and the registry differ.
    """
    said = YAML(typ="safe").load(Path(__file__).with_name("methods.yaml"))
    return tuple(method for kind in KINDS for method in _of_kind(kind, said[kind]))


def _of_kind(kind: Kind, said: dict[str, dict[str, str]]) -> Iterator[Method]:
    classes = classes_of(kind)
    if set(said) != set(classes):
        odd = ", ".join(sorted(set(said) ^ set(classes)))
        raise KeyError(
            f"{kind}: {odd}. docs/methods.yaml says of every registered part when to use it, and of no other"
        )
    for name, of in said.items():
        yield Method(kind, name, classes[name], of["family"], of["when"], of.get("recipe", f"{kind}: {name}"))


def pages() -> dict[str, str]:
    """The pages by their path below the folder of the documentation."""
    made = {"methods/index.md": _all()}
    for kind in KINDS:
        made[f"methods/{kind}/index.md"] = _index(kind)
    return {**made, **{f"methods/{method.path}": _page(method) for method in methods()}}


def _all() -> str:
    parts = [_INTRODUCTION]
    for kind, about in KINDS.items():
        guide = f"[Guide](../guides/{about.guide})"
        parts += [f"## {about.plural}", f"{about.question} {guide}.", _table(kind, f"{kind}/")]
    return "\n\n".join(parts) + "\n"


def _index(kind: Kind) -> str:
    about = KINDS[kind]
    parts = [
        f"# {about.plural}",
        f"{about.question} [Guide](../../guides/{about.guide}), [all methods](../index.md), "
        "[every key](../../reference/recipe.md).",
        _table(kind, ""),
    ]
    return "\n\n".join(parts) + "\n"


def _table(kind: Kind, folder: str) -> str:
    rows = ["| family | method | when |", "| --- | --- | --- |"]
    before = ""
    for method in (method for method in methods() if method.kind == kind):
        mark = " (default)" if method.name == KINDS[kind].default else ""
        family = method.family if method.family != before else ""
        before = method.family
        rows.append(f"| {family} | [`{method.name}`]({folder}{method.name}.md){mark} | {method.when} |")
    return "\n".join(rows)


def _page(method: Method) -> str:
    told = parse(method.cls)

    def link(name: str) -> str:
        return _address(name, method)

    parts = [f"# {method.name}", f"*[{KINDS[method.kind].plural}](index.md), {method.family}.*"]
    parts += [markdown(told.summary, link), f"**When to use it.** {method.when}"]
    if method.kind != "task":
        parts.append(f"```yaml\n{method.recipe}\n```")
    if told.body:
        parts += ["## How it works", markdown(told.body, link)]
    parts += ["## Keys", table(method.cls, "../../reference/recipe.md")]
    parts += ["## Source", method.source]
    if "Relations" in told.sections:
        parts += ["## Relations", markdown(told.sections["Relations"], link)]
    parts += ["## In Python", f"`motet.{method.cls.__name__}`", example(told.sections["Example"])]
    return "\n\n".join(parts) + "\n"


def _address(name: str, here: Method) -> str:
    """Of the page about a method that is named, seen from that of another; one of the same kind comes first."""
    if name == here.name or name == here.cls.__name__:
        return ""
    found: list[Any] = [method for method in methods() if name in (method.name, method.cls.__name__)]
    found.sort(key=lambda method: method.kind != here.kind)
    if not found or (found[0].kind != here.kind and name == found[0].name):  # a key may be called like a part
        return ""
    return f"{found[0].name}.md" if found[0].kind == here.kind else f"../{found[0].path}"
