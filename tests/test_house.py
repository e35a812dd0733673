"""The house rules: sizes, annotations, and what may not appear in the source at all."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
CONTENTS_PAGE = 5  # an `__init__` of so many lines is not counted as a file
VAGUE_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
UNSAFE_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class File(NamedTuple):
    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]


def parse(text: str, path: str = "motet/example.py") -> File:
    return File(Path(path), text, ast.parse(text))


def read_files() -> list[File]:
    files = sorted((SOURCE / "motet").rglob("*.py"))
    return [parse(file.read_text(encoding="utf-8"), str(file.relative_to(SOURCE))) for file in files]


def length(function: Function) -> int:
    """Lines from `def` to the end, without those of the docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def calls(file: File) -> Iterator[ast.Call]:
    return (node for node in ast.walk(file.tree) if isinstance(node, ast.Call))


def long_files(file: File) -> Iterator[str]:
    if file.lines > 400:
        yield f"1 has {file.lines} lines, and 400 are the most"


def long_functions(file: File) -> Iterator[str]:
    for function in file.functions:
        if length(function) > 60:
            yield f"{function.lineno} `{function.name}` has {length(function)} lines, and 60 are the most"


def missing_return_types(file: File) -> Iterator[str]:
    for function in file.functions:
        if function.returns is None:
            yield f"{function.lineno} `{function.name}` does not say what it returns"


def options_passed_through(file: File) -> Iterator[str]:
    """A `**` parameter may collect values; handed on to another call, it hides what that call takes."""
    for function in file.functions:
        options = function.args.kwarg
        passed = [
            word.value
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
            for word in call.keywords
            if word.arg is None
        ]
        if options and any(isinstance(value, ast.Name) and value.id == options.arg for value in passed):
            yield f"{function.lineno} `{function.name}` passes **{options.arg} through: name its parameters"


def vague_names(file: File) -> Iterator[str]:
    vague = VAGUE_NAMES.intersection([*file.path.parts, file.path.stem])
    if vague:
        yield f"1 the name `{vague.pop()}` says nothing about what is inside"


def prints(file: File) -> Iterator[str]:
    speaks = file.path.parts[1] == "cli" or "reporting/console" in file.path.as_posix()
    for call in calls(file):
        if not speaks and isinstance(call.func, ast.Name) and call.func.id == "print":
            yield f"{call.lineno} prints; only the command line and the console do"


def promises(file: File) -> Iterator[str]:
    for number, line in enumerate(file.text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield f"{number} promises work: do it, or file it"


def unsafe_loading(file: File) -> Iterator[str]:
    """Nothing that motet loads may execute code."""
    for node in ast.walk(file.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in UNSAFE_MODULES.intersection(name.split(".")[0] for name in named):
                yield f"{node.lineno} imports {module}, which executes what it reads"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load":
            yield f"{node.lineno} torch.load reads pickles: use safetensors"
        elif isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            if isinstance(node.value, ast.Constant) and node.value.value is True:
                yield f"{node.lineno} {node.arg}=True executes what it reads"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            yield f"{node.lineno} calls {node.func.id}"


RULES: list[Callable[[File], Iterator[str]]] = [
    long_files,
    long_functions,
    missing_return_types,
    options_passed_through,
    vague_names,
    prints,
    promises,
    unsafe_loading,
]
FILES = read_files()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_rule(rule: Callable[[File], Iterator[str]]) -> None:
    broken = [f"src/{file.path}:{message}" for file in FILES for message in rule(file)]
    assert not broken, "\n" + "\n".join(broken)


def test_median_file_is_short() -> None:
    lines = [file.lines for file in FILES if file.path.name != "__init__.py" or file.lines > CONTENTS_PAGE]
    assert median(lines) <= 110


def test_median_function_is_short() -> None:
    assert median(length(function) for file in FILES for function in file.functions) <= 8


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (long_files, "\n" * 401),
        (long_functions, "def f() -> None:\n" + "    pass\n" * 60),
        (missing_return_types, "class A:\n    def f(self):\n        pass"),
        (options_passed_through, "def f(**options: int) -> None:\n    g(1, **options)"),
        (prints, "print('hello')"),
        (promises, "pass  # TODO: later"),
        (unsafe_loading, "import pickle"),
        (unsafe_loading, "from dill import loads"),
        (unsafe_loading, "state = torch.load(path)"),
        (unsafe_loading, "Model.from_pretrained(name, trust_remote_code=True)"),
        (unsafe_loading, "numpy.load(path, allow_pickle=True)"),
        (unsafe_loading, "eval(text)"),
    ],
)
def test_a_broken_rule_is_found(rule: Callable[[File], Iterator[str]], text: str) -> None:
    assert list(rule(parse(text)))


def test_a_vague_name_is_found() -> None:
    assert list(vague_names(parse("", "motet/data/utils.py")))
    assert list(vague_names(parse("", "motet/helpers/text.py")))


def test_what_is_allowed_passes() -> None:
    text = '''
def collect(**values: int) -> dict[str, int]:
    """Collect.

    >>> print(collect(a=1))
    """
    return dict(**{"first": 0}, **sorted_copy(values))
'''
    assert not [message for rule in RULES for message in rule(parse(text))]
    assert not list(prints(parse("print('hello')", "motet/cli/show.py")))


def test_length_leaves_the_docstring_out() -> None:
    (function,) = parse('@wrap\ndef f() -> int:\n    """One.\n\n    Two.\n    """\n    return 1\n').functions
    assert length(function) == 2
