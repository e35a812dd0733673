"""The import graph, held against the layout: an arrow may only point to a lower line.

A *room* is a file or folder directly inside the package. The graph has every import in it, also those inside functions
and those for type checkers alone: what a file names, it knows.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"

# line, rooms on it, and the rooms they may import; * stands for every room on a lower line
LAYOUT = """
10  cli                                    -> *
9   study                                  -> *
8   recipe                                 -> *
7   serving analysis synthesis             -> *
6   training                               -> *
5   model                                  -> answering architectures encoders data tasks reporting registry runs errors
4   answering                              -> data tasks errors
4   architectures                          -> encoders data tasks registry errors
4   encoders                               -> data tasks registry errors
4   balancing                              -> registry errors
3   data sampling                          -> *
3   reporting                              -> runs metrics significance notebook errors
2   tracking                               -> runs registry errors
2   tasks                                  -> metrics notebook registry errors
1   metrics significance runs registry kernel spelling notebook clusters -> errors
0   errors                                 ->
"""

# These import no deep-learning library, so that starting, reading a run and drawing its report take no time.
LIGHT = (
    "motet",
    "cli",
    "errors",
    "kernel",
    "metrics",
    "notebook",
    "registry",
    "reporting",
    "runs",
    "significance",
    "tracking",
)
HEAVY = ("torch", "transformers", "datasets")


class Room(NamedTuple):
    line: int
    may_import: frozenset[str]


class Arrow(NamedTuple):
    source: str
    target: str
    row: int
    types_only: bool

    def __str__(self) -> str:
        return f"{self.source}:{self.row} --> {self.target}"


def read_layout(text: str = LAYOUT) -> dict[str, Room]:
    lines: dict[str, tuple[int, str]] = {}
    for row in text.strip().splitlines():
        left, reach = row.split("->")
        number, *rooms = left.split()
        lines.update({room: (int(number), reach) for room in rooms})
    return {
        room: Room(
            line,
            frozenset(other for other in lines if lines[other][0] < line) if "*" in reach else frozenset(reach.split()),
        )
        for room, (line, reach) in lines.items()
    }


def read_source(package: Path) -> dict[str, str]:
    """The text of every module, by its dotted name."""
    modules = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        modules[".".join(part for part in parts if part != "__init__")] = file.read_text(encoding="utf-8")
    return modules


def is_package(name: str, modules: Mapping[str, str]) -> bool:
    return any(module.startswith(f"{name}.") for module in modules)


def room_of(module: str) -> str:
    """The room of a module; the root of the package is its own."""
    return module.split(".")[1] if "." in module else module


def imports(tree: ast.AST, types_only: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below a node, and whether only type checkers follow it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, types_only
        else:
            guards = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            yield from imports(node, types_only or guards)


def targets(node: ast.Import | ast.ImportFrom, module: str, modules: Mapping[str, str]) -> Iterator[str]:
    """The dotted names that one statement imports: a module of the package where there is one, else what it says."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        here = module.split(".") if is_package(module, modules) else module.split(".")[:-1]
        base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])])
    for alias in node.names:
        deeper = f"{base}.{alias.name}"
        yield deeper if deeper in modules or is_package(deeper, modules) else base


def all_arrows(modules: Mapping[str, str]) -> list[Arrow]:
    """Every import of every module, those of other packages included."""
    return [
        Arrow(module, target, node.lineno, types_only)
        for module, text in modules.items()
        for node, types_only in imports(ast.parse(text))
        for target in dict.fromkeys(targets(node, module, modules))
    ]


def inner_arrows(modules: Mapping[str, str]) -> list[Arrow]:
    return [arrow for arrow in all_arrows(modules) if arrow.target.split(".")[0] == "motet"]


def against_the_layout(modules: Mapping[str, str]) -> list[str]:
    """The arrows between rooms that the layout does not draw."""
    layout, wrong = read_layout(), []
    for arrow in inner_arrows(modules):
        source, target = room_of(arrow.source), room_of(arrow.target)
        if source == target or "motet" in (source, target):
            continue
        for room in (source, target):
            if room not in layout:
                wrong.append(f"{arrow}\n    `{room}` has no line in the layout: give it one")
        if source in layout and target in layout and target not in layout[source].may_import:
            allowed = ", ".join(sorted(layout[source].may_import)) or "nothing"
            drawn = f"{source} (line {layout[source].line}) --> {target} (line {layout[target].line})"
            wrong.append(f"{arrow}\n    {drawn}: `{source}` may import {allowed}")
    return wrong


def through_packages(modules: Mapping[str, str]) -> list[str]:
    """Imports that name a package where they should name a file.

    The root and the command line are users of the packages, a recipe needs all parts of a package registered, and the
    `__init__` of a package may name its own folders.
    """
    return [
        f"{arrow}\n    `{arrow.target}` is a package: import from the file that defines the name"
        for arrow in inner_arrows(modules)
        if is_package(arrow.target, modules)
        and room_of(arrow.source) not in ("motet", "cli", "recipe")
        and not arrow.target.startswith(f"{arrow.source}.")
    ]


def ring(modules: Mapping[str, str]) -> list[str]:
    """One import cycle between modules, if there is any; an import inside a function hides a cycle and breaks none."""
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for arrow in inner_arrows(modules):
        if arrow.target in graph and not arrow.types_only:
            graph[arrow.source].add(arrow.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))
    return []


def outside_the_door(modules: Mapping[str, str]) -> list[str]:
    """Imports of torchjd anywhere but in the one file that adapts it."""
    return [
        f"{arrow}\n    only motet.balancing.gradients.torchjd may import torchjd"
        for arrow in all_arrows(modules)
        if arrow.target.split(".")[0] == "torchjd" and arrow.source != "motet.balancing.gradients.torchjd"
    ]


MODULES = read_source(SOURCE / "motet")
LIGHT_MODULES = {room: [name for name in MODULES if room_of(name) == room] for room in LIGHT}


def test_arrows_point_to_lower_lines() -> None:
    wrong = against_the_layout(MODULES)
    assert not wrong, "arrows that the layout does not draw:\n" + "\n".join(wrong)


def test_inner_files_import_files_not_packages() -> None:
    wrong = through_packages(MODULES)
    assert not wrong, "imports through a package:\n" + "\n".join(wrong)


def test_no_import_cycle() -> None:
    cycle = ring(MODULES)
    assert not cycle, "import cycle: " + " --> ".join(cycle)


def test_one_door_to_torchjd() -> None:
    wrong = outside_the_door(MODULES)
    assert not wrong, "\n".join(wrong)


def test_layout_keeps_recipes_unknown_below() -> None:
    layout = read_layout()
    knowing = [room for room, (line, reach) in layout.items() if "recipe" in reach and line <= layout["recipe"].line]
    assert not knowing


def test_layout_only_points_down() -> None:
    layout = read_layout()
    level = {("architectures", "encoders")}  # an architecture is arranged around an encoder
    up = {(room, other) for room, (line, reach) in layout.items() for other in reach if layout[other].line >= line}
    assert up == level


@pytest.mark.parametrize("room", [room for room in LIGHT if LIGHT_MODULES[room]])
def test_light_rooms_import_no_heavy_library(room: str) -> None:
    program = f"import sys, {', '.join(LIGHT_MODULES[room])}; print(*(n for n in {HEAVY} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split(), f"importing `{room}` imports {done.stdout.strip()}"


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("from motet.training.loop import Trainer", "errors (line 0) --> training (line 6)"),
        ("import motet.training.loop", "errors (line 0) --> training (line 6)"),
        ("from .training import loop", "errors (line 0) --> training (line 6)"),
        (
            "def late() -> None:\n    from motet.training.loop import Trainer",
            "motet.errors:2 --> motet.training.loop",
        ),
        ("if TYPE_CHECKING:\n    from motet.training.loop import Trainer", "errors (line 0) --> training (line 6)"),
        ("from motet.pantry import Jar", "`pantry` has no line in the layout"),
    ],
)
def test_a_wrong_arrow_is_drawn(text: str, drawn: str) -> None:
    (message,) = against_the_layout(
        {"motet": "", "motet.errors": text, "motet.training": "", "motet.training.loop": ""}
    )
    assert drawn in message


@pytest.mark.parametrize(
    ("source", "target"),
    [("reporting", "tasks"), ("balancing", "tasks"), ("data", "sampling"), ("serving", "analysis"), ("tasks", "runs")],
)
def test_a_lower_or_equal_line_may_be_closed_too(source: str, target: str) -> None:
    assert against_the_layout({f"motet.{source}.a": f"from motet.{target}.b import C", f"motet.{target}.b": ""})


@pytest.mark.parametrize(
    "text",
    ["from motet.tasks import Task", "from motet import tasks", "import motet.tasks", "from ..tasks import Task"],
)
def test_an_import_through_a_package_is_found(text: str) -> None:
    modules = {"motet": "", "motet.data.rows": text, "motet.tasks": "", "motet.tasks.base": ""}
    assert len(through_packages(modules)) == 1
    assert not through_packages({**modules, "motet.data.rows": "from motet.tasks import base"})


def test_the_command_line_and_a_contents_page_may_name_packages() -> None:
    tree = {"motet.tasks": "from motet.tasks.text import Label", "motet.tasks.text": "", "motet.tasks.text.label": ""}
    assert not through_packages(
        {"motet": "from motet.tasks import Label", "motet.cli.app": "import motet.tasks", **tree}
    )


@pytest.mark.parametrize("text", ["from motet.data.rows import Row", "def late() -> None:\n    import motet.data.rows"])
def test_a_ring_is_found(text: str) -> None:
    modules = {"motet.data.rows": "from motet.data.batch import Batch", "motet.data.batch": text}
    assert set(ring(modules)) == set(modules)
    assert not ring({**modules, "motet.data.batch": "if TYPE_CHECKING:\n    from motet.data.rows import Row"})


def test_a_second_door_to_torchjd_is_found() -> None:
    text = "from torchjd.aggregation import UPGradWeighting"
    assert outside_the_door({"motet.balancing.engine": text})
    assert not outside_the_door({"motet.balancing.gradients.torchjd": text})
